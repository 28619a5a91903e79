"""The controller's log: a line for whatever happened, for people or as JSON. What is in it was redacted before."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TextIO

from nexus.controller.documents import notice_to_json, stamp
from nexus.controller.settings import Key
from nexus.controller.status import Notice, NoticeKind
from nexus.model.events import Event, OperationFinished, Outcome

_LEVELS = {NoticeKind.FAILED: "error", NoticeKind.DRIFT: "warning", NoticeKind.STANDBY: "warning"}


class Log:
    """Writes to ``stream`` line by line; ``as_json`` for programs that read it."""

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        self._stream = stream
        self._as_json = as_json

    def notice(self, notice: Notice) -> None:
        level = _LEVELS.get(notice.kind, "info")
        if self._as_json:
            document = notice_to_json(notice)
            del document["format_version"]
            self._write_json({"time": document.pop("time"), "level": level, **document})
        else:
            self._write_text(notice.at, level, f"{notice.key}: {_words(notice)}")
            for item in notice.diagnostics:
                self._write_text(notice.at, level, f"{notice.key}:   {item}")
                if item.detail:
                    self._write_text(notice.at, level, f"{notice.key}:     {item.detail.splitlines()[0]}")

    def event(self, key: Key, event: Event) -> None:
        """Of an apply under way, what its operations came to."""
        if not isinstance(event, OperationFinished):
            return
        level = "error" if event.outcome is Outcome.FAILED else "info"
        operation, now = event.operation, datetime.now(UTC)
        code = None if event.diagnostic is None else event.diagnostic.code
        if self._as_json:
            self._write_json(
                {
                    "time": stamp(now),
                    "level": level,
                    "event": "operation",
                    "project": key.project,
                    "environment": key.environment,
                    "address": str(operation.address),
                    "verb": operation.verb.value,
                    "unit": operation.unit or None,
                    "outcome": event.outcome.value,
                    "seconds": round(event.seconds, 3),
                    "code": code,
                }
            )
        else:
            unit = f" {operation.unit}" if operation.unit else ""
            ended = f"{event.outcome}{f' ({code})' if code else ''} in {event.seconds:.1f} s"
            self._write_text(now, level, f"{key}: {operation.verb}{unit} {operation.address} {ended}")

    def line(self, message: str, **fields: object) -> None:
        """Something about the controller itself."""
        now = datetime.now(UTC)
        if self._as_json:
            self._write_json({"time": stamp(now), "level": "info", "event": "controller", "message": message, **fields})
        else:
            said = "".join(f" {name}={value}" for name, value in fields.items())
            self._write_text(now, "info", f"{message}{said}")

    def _write_json(self, document: dict[str, object]) -> None:
        self._stream.write(json.dumps(document, ensure_ascii=False) + "\n")
        self._stream.flush()

    def _write_text(self, at: datetime, level: str, text: str) -> None:
        self._stream.write(f"{at:%H:%M:%S} {level:<7} {text}\n")
        self._stream.flush()


def _words(notice: Notice) -> str:
    parts = [notice.kind.value]
    if notice.kind is NoticeKind.REVISION:
        parts.append(notice.revision[:12])
    if notice.summary:
        parts.append(", ".join(f"{count} to {action}" for action, count in notice.summary.items()))
    if notice.digest:
        parts.append(f"plan {notice.digest}")
    if notice.seconds is not None:
        parts.append(f"in {notice.seconds:.1f} s")
    return ": ".join(filter(None, [" ".join(parts), notice.message]))
