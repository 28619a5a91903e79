# Two things a newcomer does: see nexus work, and prove that it works.
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3
NEXUS := $(BIN)/nexus
TESTS ?= tests
KILLS ?= 500

.PHONY: thorough campaign fuzz quickstart check lint test schemas docs destroy-quickstart catalogue

quickstart: $(BIN)/nexus ## install nexus and apply the first example on the local engine
	$(NEXUS) -C examples/quickstart apply --local --auto-approve
	$(NEXUS) -C examples/quickstart show
	$(NEXUS) -C examples/quickstart output

destroy-quickstart: ## take the first example down again
	$(NEXUS) -C examples/quickstart destroy --local --auto-approve

check: $(BIN)/pytest lint test ## everything that must be green

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test:
	@# Tests start nexus hundreds of times: it is compiled once, also where Python is told not to keep that.
	$(BIN)/python -m compileall -q nexus
	$(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(TESTS)

catalogue: $(BIN)/pytest ## what needs package registries: every template of the catalogue, every example, installations of the wheel, hooks, MCP's inspector
	$(BIN)/pytest -m "not thorough" tests/catalogue tests/lifecycle/test_examples.py tests/mcp/test_inspector.py tests/packaging

thorough: $(BIN)/pytest ## what takes long and shows what other tests show as well
	$(BIN)/pytest -m thorough $(TESTS)

campaign: $(BIN)/pytest ## play random projects against failures and kill -9, for as long as it takes to kill KILLS runs
	NEXUS_CAMPAIGN_SEED=0 NEXUS_CAMPAIGN_KILLS=$(KILLS) NEXUS_CAMPAIGN_EXAMPLES=400 NEXUS_CAMPAIGN_STEPS=50 NEXUS_CAMPAIGN_ENGINE_EXAMPLES=20 \
	NEXUS_CAMPAIGN_ENGINE_STEPS=15 NEXUS_CAMPAIGN_TEAM_ROUNDS=25 $(BIN)/pytest --hypothesis-profile default --capture no --timeout 7200 \
	tests/campaigns

fuzz: $(BIN)/pytest ## hold the local engine against E2B's OpenAPI documents
	$(BIN)/python -m pip install --quiet --editable '.[dev,fuzz]'
	$(BIN)/python -m tests.local.fuzzing

docs: $(BIN)/nexus ## write the generated parts of the documentation anew, and draw its pictures
	$(BIN)/python docs/generate.py

schemas: $(BIN)/nexus ## write the generated schemas anew
	$(BIN)/python -m nexus.schema

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(BIN)/nexus: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	$(BIN)/python -m compileall -q nexus
	@touch $@

$(BIN)/pytest: $(BIN)/nexus pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@
