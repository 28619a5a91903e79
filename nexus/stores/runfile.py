"""The text of a run's record: JSON lines, the head first, each operation as it starts and as it ends, then the end.

A line that a crash has torn is left out, and so is whatever a newer nexus may have written into one: a record is there
to be looked at, and nothing is decided by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Final

from nexus.model.addresses import Address, AddressError
from nexus.model.events import Outcome
from nexus.model.runs import (
    Artefact,
    OperationRun,
    Run,
    RunEnd,
    RunEntry,
    RunHead,
    RunSummary,
    StandingStep,
    StepResult,
    run_of,
)
from nexus.stores import records
from nexus.stores.records import Json, ShapeError

VERSION: Final = 1


def head_line(head: RunHead) -> bytes:
    return _line({"type": "run", "version": VERSION, **_plain(head)})


def entry_line(entry: RunEntry) -> bytes:
    return _line({"type": "end" if isinstance(entry, RunEnd) else "operation", **_plain(entry)})


def parse(content: bytes) -> Run | None:
    """The run; None when not even its head can be read."""
    lines = _documents(content.splitlines())
    head = next(lines, None)
    if head is None or (found := _head(head)) is None:
        return None
    entries = (entry for line in lines if (entry := _entry(line)) is not None)
    return run_of(found, tuple(entries))


def parse_summary(first: bytes, last: bytes) -> RunSummary | None:
    """The same without the operations, of the first and the last line alone."""
    head = next(_documents([first]), None)
    if head is None or (found := _head(head)) is None:
        return None
    end = next((_entry(line) for line in _documents([last])), None)
    return RunSummary(found, end if isinstance(end, RunEnd) else None)


def result_to_json(result: StepResult) -> Json:
    return {name: _told(value) for name, value in asdict(result).items()}


def result_from_json(data: object) -> StepResult | None:
    """None for what is no result."""
    try:
        return _step(data) if isinstance(data, dict) else None
    except (ShapeError, AttributeError):
        return None


def _line(data: Mapping[str, object]) -> bytes:
    return (records.to_text(data) + "\n").encode(errors="replace")


def _plain(entry: RunHead | RunEntry) -> Json:
    """Its fields, without those that say nothing."""
    return {name: _told(value) for name, value in asdict(entry).items() if value not in (None, "", (), {}, 0, False)}


def _told(value: object) -> object:
    match value:
        case {"kind": str(kind), "name": str(name), "key": key}:
            return str(Address(kind, name, key if isinstance(key, str) else None))
        case Mapping():
            return {str(name): _told(item) for name, item in value.items()}
        case tuple() | list():
            return [_told(item) for item in value]
        case _:
            return value


def _documents(lines: Iterable[bytes]) -> Iterator[Json]:
    for line in lines:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if isinstance(data, dict):
            yield data


def _head(data: Json) -> RunHead | None:
    if data.get("type") != "run" or data.get("version") != VERSION:
        return None
    try:
        return RunHead(
            **{name: _text(data, name) for name in ("id", "command", "project", "environment", "target")},
            **{name: _text(data, name) for name in ("holder", "lock_id", "started_at")},
            operations=_whole(data, "operations"),
            steps=tuple(Address.parse(str(item)) for item in records.items(data, "steps")),
            standing=tuple(_standing(item) for item in records.items(data, "standing") if isinstance(item, dict)),
        )
    except (ShapeError, AddressError):
        return None


def _entry(data: Json) -> RunEntry | None:
    try:
        match data.get("type"):
            case "operation":
                return _operation(data)
            case "end":
                outcomes = records.members(data, "outcomes")
                return RunEnd(
                    ended_at=_text(data, "ended_at"),
                    seconds=_number(data, "seconds") or 0.0,
                    interrupted=records.flag(data, "interrupted"),
                    outcomes={Outcome(name): count for name, count in outcomes.items() if isinstance(count, int)},
                )
    except (ShapeError, AddressError, ValueError):
        pass
    return None


def _operation(data: Json) -> OperationRun:
    outcome, step = _text(data, "outcome"), data.get("step")
    texts = ("id", "verb", "unit", "cause", "started_at", "ended_at", "reason", "note", "code", "summary", "detail")
    return OperationRun(
        address=Address.parse(_text(data, "address")),
        **{name: _text(data, name) for name in texts},
        needs=tuple(str(item) for item in records.items(data, "needs")),
        seconds=_number(data, "seconds") or 0.0,
        outcome=Outcome(outcome) if outcome else None,
        step=_step(step) if isinstance(step, dict) else None,
        log_lines=_whole(data, "log_lines"),
        tail=tuple(str(item) for item in records.items(data, "tail")),
    )


def _standing(data: Json) -> StandingStep:
    result = data.get("result")
    return StandingStep(
        address=Address.parse(_text(data, "address")),
        reason=_text(data, "reason"),
        result=_step(result) if isinstance(result, dict) else None,
    )


def _step(data: Json) -> StepResult:
    code, memory = data.get("exit_code", 0), data.get("peak_memory")
    return StepResult(
        **{name: _text(data, name) for name in ("sandbox", "sandbox_id", "ran_at")},
        attempts=_whole(data, "attempts"),
        exit_code=code if isinstance(code, int) else None,
        cpu_seconds=_number(data, "cpu_seconds"),
        peak_memory=memory if isinstance(memory, int) else None,
        cached=records.flag(data, "cached"),
        artefacts={
            name: Artefact(path=_text(item, "path"), size=_whole(item, "size"), sha256=_text(item, "sha256"))
            for name, item in records.members(data, "artefacts").items()
            if isinstance(item, dict)
        },
    )


def _text(data: Json, name: str) -> str:
    return records.text(data, name, "")


def _whole(data: Json, name: str) -> int:
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _number(data: Json, name: str) -> float | None:
    value = data.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
