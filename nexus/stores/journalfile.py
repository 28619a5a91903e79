"""The journal's text: JSON lines, the header first. Each line tells its number, a checksum, and what was safe by then.

A crash may tear the end of the file: lines that nobody was told to be safe. ``safe`` (the number of the last line that
was on the disk when this one was made) tells that apart from damage: a broken line that a later one calls safe.
"""

from __future__ import annotations

import zlib
from typing import Final, assert_never

from nexus.model.addresses import AddressError
from nexus.stores import records
from nexus.stores.base import Header, JournalContents
from nexus.stores.entries import Begin, Done, Entry, Failed
from nexus.stores.failures import damaged, too_new
from nexus.stores.records import Json, ShapeError
from nexus.stores.statefile import WRITER

JOURNAL_VERSION: Final = 1

_HINT = "move it aside and run the command again; what it held is then found by «nexus state rebuild»"


def header_line(header: Header) -> bytes:
    return _line(
        {
            "seq": 0,
            "safe": 0,
            "type": "header",
            "version": JOURNAL_VERSION,
            "written_by": WRITER,
            "lineage": header.lineage,
            "serial": header.serial,
            "project": header.project,
            "environment": header.environment,
            "target": records.target_to_json(header.target),
        }
    )


def entry_line(entry: Entry, seq: int, safe: int) -> bytes:
    """Raises TypeError when a secret is anywhere in it."""
    return _line({"seq": seq, "safe": safe, **_entry_to_json(entry)})


def parse(content: bytes, path: str = "the journal") -> JournalContents | None:
    """None when not even the header was safe. Raises DiagnosticsError: ``state-damaged`` or ``state-too-new``."""
    lines = [_checked(line) for line in content.split(b"\n")]
    if lines and not content.endswith(b"\n"):
        lines[-1] = None
    elif lines:
        lines.pop()
    good = _unbroken(lines)
    try:
        if any(line is not None and records.number(line, "safe") >= len(good) for line in lines[len(good) :]):
            raise ShapeError(f"line {len(good) + 1} is broken")
        if not good:
            return None
        header = _header(good[0], path)
        entries = tuple(_entry(line) for line in good[1:])
    except (ShapeError, AddressError) as problem:
        raise damaged(path, str(problem), _HINT) from problem
    return JournalContents(header, entries, torn=len(good) < len(lines))


def _line(data: Json) -> bytes:
    body = records.to_text(data)[:-1].encode()
    return body + b',"sum":"%08x"}\n' % zlib.crc32(body)


_SUM: Final = len(b',"sum":"00000000"}')


def _checked(line: bytes) -> Json | None:
    """The line's document; None when it is not as it was written."""
    body, end = line[:-_SUM], line[-_SUM:]
    if not body or end != b',"sum":"%08x"}' % zlib.crc32(body):
        return None
    try:
        data = records.from_text(line.decode())
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _unbroken(lines: list[Json | None]) -> list[Json]:
    good: list[Json] = []
    for line in lines:
        if line is None or line.get("seq") != len(good):
            break
        good.append(line)
    return good


def _header(data: Json, path: str) -> Header:
    version = records.number(data, "version")
    if version > JOURNAL_VERSION:
        raise too_new(path, "journal", version, JOURNAL_VERSION, records.text(data, "written_by", ""))
    return Header(
        lineage=records.text(data, "lineage"),
        serial=records.number(data, "serial"),
        project=records.text(data, "project", ""),
        environment=records.text(data, "environment"),
        target=records.target_from_json(data.get("target")),
    )


def _entry_to_json(entry: Entry) -> Json:
    match entry:
        case Begin():
            return {"type": "begin", "operation": entry.operation, "intent": records.intent_to_json(entry.intent)}
        case Done():
            return {
                "type": "done",
                "key": entry.key,
                "record": None if entry.record is None else records.record_to_json(entry.record),
                "removed": entry.removed,
                "trees": records.trees_to_json(entry.trees),
            }
        case Failed():
            return {
                "type": "failed",
                "key": entry.key,
                "code": entry.code,
                "summary": entry.summary,
                "record": None if entry.record is None else records.record_to_json(entry.record),
                "removed": entry.removed,
                "unresolved": entry.unresolved,
            }
        case _:
            assert_never(entry)


def _entry(data: Json) -> Entry:
    record = None if data.get("record") is None else records.record_from_json(data["record"])
    match data.get("type"):
        case "begin":
            return Begin(records.intent_from_json(data.get("intent")), records.text(data, "operation", ""))
        case "done":
            return Done(
                key=records.text(data, "key"),
                record=record,
                removed=records.text(data, "removed", ""),
                trees=records.trees_from_json(records.members(data, "trees")),
            )
        case "failed":
            return Failed(
                key=records.text(data, "key"),
                code=records.text(data, "code", ""),
                summary=records.text(data, "summary", ""),
                record=record,
                removed=records.text(data, "removed", ""),
                unresolved=records.flag(data, "unresolved"),
            )
        case other:
            raise ShapeError(f"an entry of the unknown type {other!r}")
