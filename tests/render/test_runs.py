"""Records of runs, as people and programs see them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from nexus.model.runs import Run, RunEnd, RunStatus, RunSummary
from nexus.render.runs import print_run, print_runs, run_to_json, runs_to_json
from tests.render.conftest import Screen
from tests.render.sample_runs import END, HEAD, OPERATIONS, RUN

SCHEMAS = Path(__file__).parents[2] / "schemas"


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
    assert "step.etl.after  skipped, step.etl.bad failed" in text
    assert "step.etl.cut  did not end" in text
    assert "step.etl.old  up to date" in text
    assert "sandbox.a: create  failed" in text


def test_runs_are_listed_with_who_and_how(screen: Screen) -> None:
    console, stream = screen(120)
    print_runs(console, [(RUN.summary, RunStatus.FAILED), (RunSummary(HEAD), RunStatus.INTERRUPTED)])
    first, second = stream.getvalue().splitlines()[-2:]
    assert first.split()[3:] == ["ann@host", "run", "etl", "failed", "5.0s"]
    assert second.split()[3:] == ["ann@host", "run", "etl", "interrupted"]


def test_the_ids_of_runs_are_whole_on_a_narrow_screen(screen: Screen) -> None:
    console, stream = screen(80)
    print_runs(console, [(RUN.summary, RunStatus.FAILED)])
    assert RUN.summary.head.id in stream.getvalue()
    assert max(map(len, stream.getvalue().splitlines())) <= 80
