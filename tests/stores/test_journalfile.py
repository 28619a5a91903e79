from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import FileEntry, Target
from nexus.stores import Done, Failed, Header
from nexus.stores.journalfile import entry_line, header_line, parse
from tests.stores.conformance import BEGIN, DONE, FAILED

HEADER = Header(lineage="lin", serial=3, project="shop", environment="prod", target=Target("e2b"))
TREE_DONE = Done(key="t", removed="u", trees={"t": {"a": FileEntry("d", 0o600, 1)}})
ENTRIES = [BEGIN, DONE, FAILED, TREE_DONE]


def lines(safe: list[int] | None = None) -> list[bytes]:
    """The lines of a journal; without ``safe`` each was made once the one before was on the disk."""
    return [
        header_line(HEADER),
        *(
            entry_line(entry, seq, seq - 1 if safe is None else safe[seq - 1])
            for seq, entry in enumerate(ENTRIES, start=1)
        ),
    ]


def test_what_is_parsed_is_what_was_written() -> None:
    contents = parse(b"".join(lines()))
    assert contents is not None
    assert contents.header == HEADER
    assert list(contents.entries) == ENTRIES
    assert not contents.torn


def test_every_line_fits_the_schema() -> None:
    schema = json.loads((Path(__file__).parents[2] / "schemas" / "journal.schema.json").read_text())
    for line in lines():
        jsonschema.validate(json.loads(line), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(lines()[1]), "type": "unheard-of"}, schema)


@given(cut=st.integers(min_value=0, max_value=len(b"".join(lines()))))
def test_a_torn_end_costs_no_entry_before_it(cut: int) -> None:
    whole = lines()
    content = b"".join(whole)[:cut]
    contents = parse(content)
    kept, end = 0, 0
    while kept < len(whole) and end + len(whole[kept]) <= cut:
        end += len(whole[kept])
        kept += 1
    if kept == 0:
        assert contents is None
        return
    assert contents is not None
    assert list(contents.entries) == ENTRIES[: kept - 1]
    assert contents.torn == (end != cut)


@given(where=st.integers(min_value=0, max_value=len(b"".join(lines())) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_believed(where: int, bit: int) -> None:
    content = bytearray(b"".join(lines()))
    content[where] ^= 1 << bit
    last = len(b"".join(lines()[:-1]))
    if where < last:
        with pytest.raises(DiagnosticsError) as problem:
            parse(bytes(content))
        assert problem.value.diagnostics[0].code in ("state-damaged", "state-too-new")
        return
    contents = parse(bytes(content))  # only the last line may be taken for a torn one
    assert contents is not None
    assert list(contents.entries) == ENTRIES[:-1]


def test_a_broken_line_that_a_later_one_calls_safe_is_damage() -> None:
    whole = lines()
    whole[2] = b"\x00" * (len(whole[2]) - 1) + b"\n"
    with pytest.raises(DiagnosticsError) as problem:
        parse(b"".join(whole), "journal.jsonl")
    assert problem.value.diagnostics[0].code == "state-damaged"
    assert "line 3" in problem.value.diagnostics[0].detail


def test_a_broken_line_among_those_that_nobody_was_told_to_be_safe_ends_the_journal() -> None:
    whole = lines(safe=[0, 1, 1, 1])  # 2, 3 and 4 were written together, and 3 reached the disk first
    whole[2] = b"\x00" * (len(whole[2]) - 1) + b"\n"
    contents = parse(b"".join(whole))
    assert contents is not None
    assert list(contents.entries) == ENTRIES[:1]
    assert contents.torn


def test_a_missing_line_is_damage() -> None:
    whole = lines()
    with pytest.raises(DiagnosticsError, match="state-damaged"):
        parse(b"".join(whole[:2] + whole[3:]))


def test_a_newer_journal_is_refused_by_name() -> None:
    import zlib

    data = json.loads(header_line(HEADER))
    data.pop("sum")
    body = json.dumps({**data, "version": 8, "written_by": "nexus 9"})[:-1].encode()
    with pytest.raises(DiagnosticsError) as problem:
        parse(body + b',"sum":"%08x"}\n' % zlib.crc32(body))
    assert problem.value.diagnostics[0].code == "state-too-new"


def test_line_ends_within_texts_stay_within_one_line() -> None:
    entry = Failed(key="k", code="c", summary="a\nb\u2028c\rd")
    contents = parse(header_line(HEADER) + entry_line(entry, 1, 0))
    assert contents is not None
    assert contents.entries == (entry,)
