"""Every example does what its page says: its commands are typed into a terminal as they stand, and leave no trace."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.docs.terminal import console_commands, offer_nexus, typed
from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"

SEEN = {
    "agent-pool": [
        "1 of 2 ready",
        '"number": 2',
        "are you awake?",
        '"number": 3',
        "1 created",
        '"code": "SANDBOX_NOT_FOUND"',
        ") is deleted",
    ],
    "code-interpreter": ["the total is 45", "Hello from Python", "Hello from Node.js", "Hello from Bash", "cpu_time"],
    "custom-template": ["ready for ada"],
    "data-analysis": [
        "Dataset shape: (1000, 3)",
        '"memory_percent"',
        '"host": "localhost"',
        "Dataset shape: (2000, 3)",
    ],
    "data-pipeline": [": 4 run.", '{"a": 34458, "b": 32714, "c": 33762}'],
    "evaluation-matrix": ["537 comparisons for 100 numbers", "100 merge           537", "No changes"],
    "full-stack": ['"status":"healthy"', "Item 10", "Redis server", "nginx version", "Claude Code", "Item 2"],
    "gallery": ["vanilla", "Compiled successfully", "Claude Code"],
    "gitops": [
        "Good morning, served by",
        "Hello, served by",
        "this plan can't be applied",
        "this night's run fails",
        "2 replaced",
    ],
    "mcp-agent": [
        "KeyError",
        "Rotterdam       97.75",
        "1 adopted",
        "part of the project",
        "No changes",
        'to: "sandbox.analyst"',
    ],
    "ml-research": ["Environment warmed up", "project: research", "right in 9", "wandb"],
    "quickstart": ["the server says: Hello from", "No changes", ": 1 updated.", "Moin from"],
    "team": ["ada, lead", "grace, developer", "for you, grace", "1 command"],
    "tested-service": ["3 passed", '["remember the milk"]'],
    "ui-components": ['<div id="root">', "styled-components"],
    "web-app": ["<h1>Made with nexus</h1>", ": 1 updated.", "<h1>Hello</h1>"],
}
"""What the terminal shows of each example, among all else."""

LARGE = frozenset({"data-analysis", "full-stack", "gallery", "ml-research", "ui-components"})
"""Those that build templates or install packages for minutes."""

AUTHOR = {
    f"GIT_{role}_{field}": text
    for role in ("AUTHOR", "COMMITTER")
    for field, text in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}
"""What git is told elsewhere, once and for all."""


def cases() -> list[object]:
    names = sorted(path.parent.name for path in EXAMPLES.glob("*/nexus.yaml"))
    marks = {name: (pytest.mark.catalogue, pytest.mark.timeout(1800)) if name in LARGE else () for name in names}
    return [pytest.param(name, marks=marks[name]) for name in names]


def script(page: str) -> str:
    """The commands of a page, and the checks after the first that applies."""
    commands = console_commands(page)
    applied = next(number for number, line in enumerate(commands, 1) if line.startswith("nexus apply"))
    return "\n".join((*commands[:applied], *_checks(commands[applied - 1]), *commands[applied:]))


def _checks(apply: str) -> tuple[str, ...]:
    """In the environment of that apply, and for the plan with its values."""
    words = apply.partition("#")[0]
    environment = " ".join(re.findall(r"-e \S+", words))
    variables = "".join(words.partition("--var")[1:])
    return (
        f"nexus plan --detailed-exitcode {environment} {variables}",
        f"nexus output {environment} --json > outputs.json",
    )


@pytest.mark.parametrize("name", cases())
def test_the_commands_of_an_example_work_as_they_stand(scenario: Scenario, tmp_path_factory, name: str) -> None:
    scenario.copy(EXAMPLES / name)
    page = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    programs = offer_nexus(tmp_path_factory.mktemp("programs"))
    path = f"{programs}:{scenario.environment['PATH']}"
    settings = {**scenario.environment, **AUTHOR, "PATH": path, "COLUMNS": "160"}
    code, shown = typed(script(page), scenario.folder, scenario.engine.home, limit=1500, settings=settings)
    assert code == 0, shown
    assert [text for text in SEEN[name] if text not in shown] == [], shown
    outputs = json.loads((scenario.folder / "outputs.json").read_text())
    assert outputs
    assert all(output["value"] is not None for output in outputs.values())
    scenario.expect_nothing_left()


def test_every_example_has_a_page_that_ends_with_destroying_it() -> None:
    pages = {page.parent.name: page.read_text(encoding="utf-8") for page in EXAMPLES.glob("*/README.md")}
    assert pages.keys() == {manifest.parent.name for manifest in EXAMPLES.glob("*/nexus.yaml")} == SEEN.keys()
    for name, page in pages.items():
        assert console_commands(page)[-1].startswith("nexus destroy"), name
        assert f"({name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
