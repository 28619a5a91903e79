"""What readers get of a plan's policies, openings and costs: the published document, and a comment that fits."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from nexus.planning import format_saved, parse_saved
from nexus.render.consequences import consequences
from nexus.render.documents import plan_to_json
from nexus.render.markdown import plan_markdown
from tests.policy.plans import Place

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

MANIFEST = """
secrets: {token: {env: T}}
sandboxes:
  web: {template: code-interpreter-v1, ports: {api: 8000}, env_vars: {T: "${{ secrets.token }}"}}
  box: {count: COUNT, timeout: 30m}
policies:
  closed: {use: no-internet}
  budget: {use: budget, monthly: 1}
"""


@pytest.mark.parametrize("count", [0, 2])
def test_the_document_is_as_its_schema_says(place: Place, count: int) -> None:
    document = plan_to_json(place.plan(MANIFEST.replace("COUNT", str(count))))
    VALIDATOR.validate(document)
    assert {"denied", "opens", "cost"} <= document.keys()


def test_a_saved_plan_says_nothing_that_is_worked_out_anew(place: Place) -> None:
    text = format_saved(place.plan(MANIFEST.replace("COUNT", "1")))
    VALIDATOR.validate(json.loads(text))
    read = parse_saved(text, "saved").plan
    assert (read.cost, read.openings) == (None, ())


def test_a_comment_says_denials_first_and_always_fits(place: Place) -> None:
    blocks = "".join(f"  s{number}: {{timeout: {number + 1}m, ports: {{p: {number + 1}}}}}\n" for number in range(400))
    plan = place.plan(f"sandboxes:\n{blocks}policies: {{closed: {{use: no-internet}}}}\n")
    comment = plan_markdown(plan)
    assert len(comment) <= 65_000
    assert comment.index("policy-denied") < comment.index("**Opens**") < comment.index("| an hour |")
    assert "401 to create" in comment
    assert "… and 390 more" in comment


def test_a_plan_that_opens_nothing_and_costs_the_same_says_neither(place: Place) -> None:
    place.world.apply("sandboxes: {web: {}}")
    plan = place.plan("sandboxes: {web: {env_vars: {A: b}}}\n")
    assert plan.changes
    assert list(consequences(plan)) == []


def test_what_is_assumed_is_said(place: Place) -> None:
    lines = [line.plain for line in consequences(place.plan(MANIFEST.replace("COUNT", "0")))]
    assert lines == [
        "Opens:",
        "  internet  sandbox.web: everything outside may be reached",
        "  port      sandbox.web: api (8000) has a URL",
        "Cost at E2B (nothing here): $0.1170 an hour, $0.1170 until timeout, $85.41 a month.",
        "Assumed for it: the size of sandbox.web.",
        "Denied, for 2 reasons: nothing of it can be applied.",
    ]
