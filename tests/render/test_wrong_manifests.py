"""What is said of wrong manifests, as a whole: the table of the schema's tests, and what newcomers write."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nexus.model.diagnostics import Diagnostic, DiagnosticsError, SourcePos, SourceRange, error
from nexus.render.console import Look, console
from nexus.render.diagnostics import diagnostic_text, print_diagnostics
from nexus.workflows.loading import LoadRequest, load
from tests.render.conftest import Compare, Screen
from tests.render.newcomers import NEWCOMERS
from tests.schema.malformed import MALFORMED


def said_of(text: str, folder: Path) -> str:
    """What ``nexus validate`` prints about a manifest, without colours, on 80 columns."""
    (folder / "nexus.yaml").write_text(text)
    stream = io.StringIO()
    screen = console(Look(color=False, live=True), width=80, file=stream)
    found = [replace(item, detail=item.detail.replace(str(folder), "/project")) for item in found_in(folder)]
    print_diagnostics(screen, found, lambda _: text.splitlines())
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def found_in(folder: Path) -> Sequence[Diagnostic]:
    try:
        return load(LoadRequest(path=folder)).diagnostics
    except DiagnosticsError as failed:
        return failed.diagnostics


def test_what_is_said_of_wrong_manifests(tmp_path: Path, golden: Compare) -> None:
    """At least 60, each with its lines, the mark below, what is wrong, what was expected, and where to read on."""
    assert len(MALFORMED) >= 60
    pages = [f"#### {name}\n\n{said_of(text, tmp_path)}\n" for name, text, _ in MALFORMED]
    golden("wrong-manifests", "".join(pages))


def test_what_is_said_to_newcomers(tmp_path: Path, golden: Compare) -> None:
    pages = [f"#### {name}\n\n{text}\n{said_of(text, tmp_path)}\n" for name, text in NEWCOMERS.items()]
    golden("newcomers", "".join(pages))


@pytest.mark.parametrize("name", NEWCOMERS)
def test_a_newcomer_is_told_what_to_do_about_each_mistake(name: str, tmp_path: Path) -> None:
    (tmp_path / "nexus.yaml").write_text(NEWCOMERS[name])
    found = found_in(tmp_path)
    assert found
    for item in found:
        assert item.range is not None
        expected = " must be " in item.summary
        assert item.hint or expected, f"{item}: nothing says what to write instead"


def test_a_secret_in_place_of_its_name_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "nexus.yaml").write_text(NEWCOMERS["a secret in place of its name"])
    assert not any("sk-12345" in f"{item.summary}{item.detail}{item.hint}" for item in found_in(tmp_path))


def framed(lines: Sequence[str], line: int, start: int, end: int) -> list[str]:
    place = SourceRange("nexus.yaml", SourcePos(line, start), SourcePos(line, end))
    return diagnostic_text(error("some-error", "Wrong", range=place), lambda _: lines).plain.splitlines()[2:]


def test_the_line_stands_under_the_one_that_opens_its_block() -> None:
    lines = ["sandboxes:", "  web:", "    # a remark", "", "    template: base", "    timout: 1h"]
    assert framed(lines, 6, 5, 11) == [
        "   |",
        " 2 |   web:",
        "   | …",
        " 6 |     timout: 1h",
        "   |     ^^^^^^",
    ]
    assert framed(lines, 2, 3, 6) == ["   |", " 1 | sandboxes:", " 2 |   web:", "   |   ^^^"]
    assert framed(lines, 1, 1, 10) == ["   |", " 1 | sandboxes:", "   | ^^^^^^^^^"]


def test_the_mark_is_below_wide_signs_and_tabs() -> None:
    assert framed(["\tgrüße: 你好 x"], 1, 9, 11)[-2:] == [" 1 |  grüße: 你好 x", "   |         ^^^^"]


def test_of_a_very_long_line_the_part_around_the_place_is_shown() -> None:
    line = "a: {" + ", ".join(f"key{number}: value" for number in range(60)) + "}"
    start = line.index("key40") + 1
    shown, mark = framed([line], 1, start, start + 5)[-2:]
    assert len(shown) <= 110
    assert shown[mark.index("^") : mark.rindex("^") + 1] == "key40"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_sentences_are_broken_at_the_width_of_the_terminal(width: int, screen: Screen) -> None:
    made, stream = screen(width, color=True)
    item = error("some-error", "Wrong", detail="word " * 60, hint="hint " * 60)
    print_diagnostics(made, [item], lambda _: None)
    assert width - 8 < max(len(line.rstrip()) for line in stream.getvalue().splitlines()) <= width
