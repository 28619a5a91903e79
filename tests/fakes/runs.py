"""Records of runs for tests: one head, of which a test says what matters to it, and a result that a step left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nexus.model.runs import Artefact, RunHead, StepResult

STARTED_AT = "2026-01-02T03:04:05.678Z"
HEAD = RunHead(
    id="20260102T030405-ab12cd",
    command="run",
    project="shop",
    environment="prod",
    target="local",
    holder="ann@host",
    lock_id="lock1",
    started_at=STARTED_AT,
    operations=2,
)
STEP_RESULT = StepResult(
    sandbox="sandbox.a",
    sandbox_id="i1",
    attempts=2,
    exit_code=0,
    cpu_seconds=0.25,
    peak_memory=3_000_000,
    artefacts={"rows": Artefact(path="/rows", size=2048, sha256="ab")},
)


def run_head(**fields: Any) -> RunHead:
    """``HEAD`` with other fields."""
    return replace(HEAD, **fields)
