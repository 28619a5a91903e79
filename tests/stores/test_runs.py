"""Records of runs: what is noted is found again, whatever ends the process, and there is never too much of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from nexus.model.addresses import Address
from nexus.model.events import Outcome
from nexus.model.runs import OperationRun, RunEnd, RunStatus, StandingStep
from nexus.stores import Backend, Memory, local_backend
from nexus.stores.localruns import KEPT_RUNS
from tests.fakes.runs import STEP_RESULT, run_head

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "run-record.schema.json").read_text())
STEP = Address("step", "etl.load", "a")
RESULT = replace(STEP_RESULT, ran_at="2026-01-02T03:04:05Z")
HEAD = run_head(
    steps=(Address("step", "etl.load"),),
    standing=(StandingStep(address=Address("step", "etl.old"), reason="up to date", result=RESULT),),
)
BEGUN = OperationRun(
    id="op-0001", verb="run-step", address=STEP, cause="not run yet", started_at="2026-01-02T03:04:06.000Z"
)
ENDED = replace(
    BEGUN,
    ended_at="2026-01-02T03:04:09.000Z",
    seconds=3.0,
    outcome=Outcome.FAILED,
    code="execution-error",
    summary="It failed",
    detail="why",
    step=replace(RESULT, exit_code=4),
    log_lines=2,
    tail=("one", "two"),
)
SKIPPED = OperationRun(id="op-0002", verb="create", address=Address("sandbox", "b"), needs=("op-0001",), reason="no")
SKIPPED = replace(SKIPPED, outcome=Outcome.SKIPPED)
END = RunEnd(ended_at="2026-01-02T03:04:10.000Z", seconds=5.0, outcomes={Outcome.FAILED: 1, Outcome.SKIPPED: 1})
Reopen = Callable[[], Backend]


@pytest.fixture(params=["memory", "local"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    return Memory().backend if request.param == "memory" else lambda: local_backend(tmp_path, "prod")


async def test_a_run_is_found_as_it_was_noted(reopen: Reopen) -> None:
    log = await reopen().runs.begin(HEAD)
    for entry in (BEGUN, ENDED, SKIPPED, END):
        log.note(entry)
    log.close()
    (summary,) = await reopen().runs.list()
    assert (summary.head, summary.end) == (HEAD, END)
    assert summary.status("") is RunStatus.FAILED
    run = await reopen().runs.read(HEAD.id)
    assert run is not None
    assert run.operations == (ENDED, SKIPPED)
    assert run.head.words == "run etl load"


async def test_a_run_that_was_killed_is_interrupted_and_one_that_holds_the_lock_is_running(reopen: Reopen) -> None:
    log = await reopen().runs.begin(HEAD)
    log.note(BEGUN)
    run = await reopen().runs.read(HEAD.id)
    assert run is not None
    assert run.operations == (BEGUN,)
    assert run.summary.status("") is RunStatus.INTERRUPTED
    assert run.summary.status("another") is RunStatus.INTERRUPTED
    assert run.summary.status("lock1") is RunStatus.RUNNING
    log.close()


async def test_each_operation_has_its_log(reopen: Reopen) -> None:
    log = await reopen().runs.begin(HEAD)
    log.write("op-0001", "one")
    log.write("op-0002", "other")
    log.write("op-0001", "zwö")
    log.note(ENDED)
    assert await reopen().runs.log(HEAD.id, "op-0001") == "one\nzwö\n"
    assert await reopen().runs.log(HEAD.id, "op-0002") == "other\n"
    assert await reopen().runs.log(HEAD.id, "op-0003") == ""
    assert await reopen().runs.log("../x", "op-0001") == ""
    log.close()


async def test_what_is_written_fits_its_schema_and_is_the_users_alone(tmp_path: Path) -> None:
    log = await local_backend(tmp_path, "prod").runs.begin(HEAD)
    for entry in (BEGUN, ENDED, SKIPPED, END):
        log.note(entry)
    log.write("op-0001", "x")
    log.close()
    folder = tmp_path / ".nexus/prod/runs" / HEAD.id
    for line in (folder / "run.jsonl").read_text().splitlines():
        jsonschema.validate(json.loads(line), SCHEMA)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_of_a_long_log_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    runs = local_backend(tmp_path, "prod").runs
    log = await runs.begin(HEAD)
    for number in range(30_000):
        log.write("op-0001", f"line {number:06d} {'x' * 50}")
    log.close()
    lines = (await runs.log(HEAD.id, "op-0001")).splitlines()
    numbers = [line[5:11] for line in lines]
    assert numbers[0] == "000000"
    assert numbers[-1] == "029999"
    gap = lines.index("[...]")
    assert lines.count("[...]") == 1
    for part in (numbers[:gap], numbers[gap + 1 :]):
        assert [int(item) for item in part] == list(range(int(part[0]), int(part[-1]) + 1))
    assert sum(path.stat().st_size for path in (tmp_path / ".nexus/prod/runs" / HEAD.id).iterdir()) < 900_000


async def test_a_log_that_fits_has_no_gap(tmp_path: Path) -> None:
    runs = local_backend(tmp_path, "prod").runs
    log = await runs.begin(HEAD)
    for number in range(10_000):
        log.write("op-0001", f"line {number:06d} {'x' * 50}")
    log.close()
    assert [line[5:11] for line in (await runs.log(HEAD.id, "op-0001")).splitlines()] == [
        f"{number:06d}" for number in range(10_000)
    ]


async def test_only_the_newest_runs_are_kept(tmp_path: Path) -> None:
    runs = local_backend(tmp_path, "prod").runs
    ids = [f"20260102T0304{number:02d}-ab12cd" for number in range(KEPT_RUNS + 3)]
    for position, run_id in enumerate(ids):
        (await runs.begin(replace(HEAD, id=run_id, started_at=f"2026-01-02T03:04:{position:02d}.000Z"))).close()
    assert [item.head.id for item in await runs.list()] == ids[: -KEPT_RUNS - 1 : -1]


@pytest.mark.parametrize("torn", [b'{"type":"end","ended', b"\xff\xfe\n", b'{"type":"operation"}\n', b"[1]\n"])
async def test_a_line_that_makes_no_sense_is_left_out(tmp_path: Path, torn: bytes) -> None:
    runs = local_backend(tmp_path, "prod").runs
    log = await runs.begin(HEAD)
    log.note(ENDED)
    log.close()
    path = tmp_path / ".nexus/prod/runs" / HEAD.id / "run.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    run = await runs.read(HEAD.id)
    assert run is not None
    assert run.operations == (ENDED,)
    assert run.summary.end is None
    path.write_bytes(torn)
    assert await runs.read(HEAD.id) is None
    assert not await runs.list()
