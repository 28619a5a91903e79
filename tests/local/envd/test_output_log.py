"""How output gets into a machine's log: as lines, however it comes."""

from __future__ import annotations

import asyncio

import pytest

from nexus.local.envd import logbook
from nexus.local.envd.logbook import Level, Logbook, OutputLog


def said(book: Logbook) -> list[str]:
    return [event.message for event in book.events()]


async def test_pieces_of_a_line_are_one_entry() -> None:
    book = Logbook()
    log = OutputLog(book, "info", event_type="stdout")
    for piece in (b"the server says:", b" ", b"Hello", b"\nand", b" more"):
        log.write(piece)
    assert said(book) == ["the server says: Hello"]
    log.flush()
    assert said(book) == ["the server says: Hello", "and more"]
    assert {event.fields["event_type"] for event in book.events()} == {"stdout"}


async def test_a_letter_that_is_cut_in_two_is_whole_in_the_log() -> None:
    book = Logbook()
    log = OutputLog(book, "info")
    for byte in "hällo\n".encode():
        log.write(bytes([byte]))
    assert said(book) == ["hällo"]


async def test_a_line_that_is_not_ended_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logbook, "_LONGEST_WAIT", 0.01)
    told = asyncio.Event()

    class Watched(Logbook):
        def record(self, level: Level, message: str, **fields: object) -> None:
            super().record(level, message, **fields)
            told.set()

    book = Watched()
    OutputLog(book, "info").write(b"Name? ")
    await asyncio.wait_for(told.wait(), 20)
    assert said(book) == ["Name? "]


async def test_a_line_without_an_end_does_not_grow_for_ever() -> None:
    book = Logbook()
    OutputLog(book, "info").write(b"x" * 5000)
    assert said(book) == ["x" * 1024]
