"""The controller's log: a line for whatever happened, for people or as JSON. What is in it was redacted before."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

    def line(self, message: str, level: str = "info", **fields: object) -> None:
        """Something about the controller itself."""
        now = datetime.now(UTC)
        if self._as_json:
            self._write_json({"time": stamp(now), "level": level, "event": "controller", "message": message, **fields})
        else:
            said = "".join(f" {name}={value}" for name, value in fields.items())
            self._write_text(now, level, f"{message}{said}")

    def _write_json(self, document: dict[str, object]) -> None:
        self._write(json.dumps(document, ensure_ascii=False))

    def _write_text(self, at: datetime, level: str, text: str) -> None:
        self._write(f"{at:%H:%M:%S} {level:<7} {text}")

    def _write(self, line: str) -> None:
        """A log that can't be written, for a disk that is full or a reader that has gone, keeps nothing else back."""
        with suppress(OSError):
            self._stream.write(f"{line}\n")
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


@contextmanager
def heard(log: Log) -> Iterator[None]:
    """What libraries warn of, such as traces that can't be exported, is in the log too, in its form."""
    handler = _Others(log)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _Others(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.line(record.getMessage(), level=record.levelname.lower(), source=record.name)
