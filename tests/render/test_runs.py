"""Records of runs, shown and as JUnit reports that strict readers take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from nexus.model.addresses import Address
from nexus.model.events import Outcome
from nexus.model.runs import (
    Artefact,
    OperationRun,
    Run,
    RunEnd,
    RunHead,
    RunStatus,
    RunSummary,
    StandingStep,
    StepResult,
)
from nexus.render.junit import junit
from nexus.render.runs import print_run, print_runs, run_to_json, runs_to_json
from tests.render.conftest import Screen

SCHEMAS = Path(__file__).parents[2] / "schemas"
HEAD = RunHead(
    id="20260102T030405-ab12cd",
    command="run",
    project="shop",
    environment="prod",
    target="local",
    holder="ann@host",
    lock_id="lock1",
    started_at="2026-01-02T03:04:05.678Z",
    operations=5,
    steps=(Address("step", "etl.load"), Address("step", "etl.old")),
    standing=(
        StandingStep(address=Address("step", "etl.old"), reason="up to date", result=StepResult(exit_code=0)),
        StandingStep(address=Address("step", "other.manual"), reason="runs only when it is asked for"),
    ),
)


def step(name: str, outcome: Outcome | None, **more: object) -> OperationRun:
    address = Address("step", f"etl.{name}")
    return OperationRun(
        id=f"op-{name}", verb="run-step", address=address, outcome=outcome, started_at=HEAD.started_at, **more
    )


LEFT = StepResult(
    sandbox="sandbox.a",
    sandbox_id="i1",
    attempts=3,
    exit_code=4,
    cpu_seconds=0.25,
    peak_memory=3_000_000,
    artefacts={"rows": Artefact(path="/rows", size=2048, sha256="ab")},
)
OPERATIONS = (
    OperationRun(
        id="op-1",
        verb="create",
        address=Address("sandbox", "a"),
        outcome=Outcome.FAILED,
        code="no",
        summary="No room",
        started_at=HEAD.started_at,
    ),
    step("good", Outcome.SUCCEEDED, seconds=1.5, step=replace(LEFT, exit_code=0)),
    step(
        "bad",
        Outcome.FAILED,
        seconds=2.25,
        code="execution-error",
        summary='It "failed" <4>',
        detail="\x1b[31mwhy\x00 & so",
        step=LEFT,
        log_lines=1,
        tail=("\x1b[31mwhy\x00 & so",),
    ),
    step("after", Outcome.SKIPPED, reason="run-step step.etl.bad failed"),
    step("cut", None),
)
END = RunEnd(ended_at="2026-01-02T03:04:10.000Z", seconds=5.0, outcomes={Outcome.FAILED: 2, Outcome.SKIPPED: 1})
RUN = Run(RunSummary(HEAD, END), OPERATIONS)


def suites() -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(junit(RUN)))


def test_a_suite_has_what_the_strict_schemas_demand_in_their_order() -> None:
    for number, suite in enumerate(suites()):
        assert {"id", "package", "name", "timestamp", "hostname", "tests", "failures", "errors", "time"} <= set(
            suite.attrib
        )
        assert suite.get("id") == str(number)
        assert suite.get("timestamp") == "2026-01-02T03:04:05"
        tags = [child.tag for child in suite]
        assert tags == ["properties", *["testcase"] * (len(tags) - 3), "system-out", "system-err"]
        for case in suite.iter("testcase"):
            assert set(case.attrib) == {"name", "classname", "time"}
            assert len(case) <= 1


def test_steps_are_test_cases_that_tell_how_they_ended() -> None:
    etl, other = suites()
    assert {name: etl.get(name) for name in ("name", "hostname", "tests", "failures", "errors", "skipped", "time")} == {
        "name": "etl",
        "hostname": "host",
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
        "time": "3.750",
    }
    found = {case.get("name"): [child.tag for child in case] for case in etl.iter("testcase")}
    assert found == {"good": [], "bad": ["failure"], "after": ["skipped"], "cut": ["error"], "old": []}
    (failure,) = etl.iter("failure")
    assert failure.attrib == {"message": 'It "failed" <4>', "type": "execution-error"}
    assert failure.text == "[31mwhy & so"
    (skipped,) = etl.iter("skipped")
    assert skipped.get("message") == "run-step step.etl.bad failed"
    assert [child.get("message") for child in other.iter("skipped")] == ["runs only when it is asked for"]
    assert etl.findtext("system-err") == "create sandbox.a: No room"


def test_a_run_without_steps_is_a_report_without_suites() -> None:
    assert not list(ElementTree.fromstring(junit(Run(RunSummary(replace(HEAD, standing=()))))))


@pytest.mark.parametrize("end", [END, None])
def test_the_documents_fit_their_schemas(end: RunEnd | None) -> None:
    run = Run(RunSummary(HEAD, end), OPERATIONS)
    shown, listed = run_to_json(run, RunStatus.FAILED), runs_to_json([(run.summary, RunStatus.FAILED)])
    jsonschema.validate(json.loads(json.dumps(shown)), json.loads((SCHEMAS / "run.schema.json").read_text()))
    jsonschema.validate(json.loads(json.dumps(listed)), json.loads((SCHEMAS / "runs.schema.json").read_text()))
    assert [(item["address"], item["cached"]) for item in shown["steps"]] == [
        ("step.etl.good", False),
        ("step.etl.bad", False),
        ("step.etl.after", False),
        ("step.etl.cut", False),
        ("step.etl.old", True),
        ("step.other.manual", False),
    ]


def test_a_run_is_shown_with_what_each_step_used_and_left(screen: Screen) -> None:
    console, stream = screen(120)
    print_run(console, RUN, RunStatus.FAILED)
    text = stream.getvalue()
    assert "20260102T030405-ab12cd: run etl, failed after 5.0s" in text
    assert "in sandbox.a, exit code 4, 3 attempts, 0.25s of CPU, 2.9 MiB at most" in text
    assert "rows: /rows, 2.0 KiB, sha256 ab" in text
    assert "step.etl.after  skipped, run-step step.etl.bad failed" in text
    assert "step.etl.cut  did not end" in text
    assert "step.etl.old  up to date" in text
    assert "sandbox.a: create  failed" in text


def test_runs_are_listed_with_who_and_how(screen: Screen) -> None:
    console, stream = screen(120)
    print_runs(console, [(RUN.summary, RunStatus.FAILED), (RunSummary(HEAD), RunStatus.INTERRUPTED)])
    first, second = stream.getvalue().splitlines()[-2:]
    assert first.split()[3:] == ["ann@host", "run", "etl", "failed", "5.0s", "5"]
    assert second.split()[3:] == ["ann@host", "run", "etl", "interrupted", "5"]
