"""``nexus fmt`` on files, folders and standard input."""

from __future__ import annotations

import io
import stat
import sys
from pathlib import Path

import pytest

from nexus.cli.main import run

UNTIDY = "apiVersion:   nexus/v1\nproject: shop   # ours\ninclude: ['parts/*.yaml']\nsandboxes:\n    web: {}\n"
TIDY = "apiVersion: nexus/v1\nproject: shop   # ours\ninclude: ['parts/*.yaml']\n\nsandboxes:\n  web: {}\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "nexus.yaml").write_text(UNTIDY)
    (tmp_path / "parts" / "one.yaml").write_text("sandboxes:\n    one: {}\n")
    (tmp_path / "parts" / "two.yaml").write_text("sandboxes:\n  two: {}\n")
    return tmp_path


def fmt(folder: Path, *arguments: str) -> int:
    return run(["-C", str(folder), "fmt", *arguments])


def test_a_project_is_formatted_with_what_it_includes(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "nexus.yaml").chmod(0o640)
    assert fmt(shop) == 0
    assert capsys.readouterr().out == "nexus.yaml\nparts/one.yaml\n"
    assert (shop / "nexus.yaml").read_text() == TIDY
    assert (shop / "parts" / "one.yaml").read_text() == "sandboxes:\n  one: {}\n"
    assert stat.S_IMODE((shop / "nexus.yaml").stat().st_mode) == 0o640
    assert fmt(shop) == 0
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in shop.iterdir()) == ["nexus.yaml", "parts"]


def test_check_names_what_is_not_formatted_and_writes_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fmt(shop, "--check") == 1
    assert capsys.readouterr().out == "nexus.yaml\nparts/one.yaml\n"
    assert fmt(shop, "--check", "parts/two.yaml") == 0
    assert (shop / "nexus.yaml").read_text() == UNTIDY


def test_diff_shows_the_lines_and_writes_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fmt(shop, "--diff", "nexus.yaml") == 0
    out = capsys.readouterr().out
    assert "-apiVersion:   nexus/v1\n+apiVersion: nexus/v1\n" in out
    assert (shop / "nexus.yaml").read_text() == UNTIDY


def test_standard_input_goes_to_standard_output(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, code, out in (((), 0, TIDY), (("--check",), 1, "<stdin>\n")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(UNTIDY.encode())))
        assert fmt(shop, "-", *arguments) == code
        assert capsys.readouterr().out == out


def test_a_file_that_can_not_be_read_does_not_keep_the_others(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "parts" / "bad.yaml").write_text("sandboxes: [1\n")
    assert fmt(shop, ".", "nowhere.yaml") == 1
    told = capsys.readouterr()
    assert told.out == "nexus.yaml\nparts/one.yaml\n"
    assert "parts/bad.yaml:2:1" in told.err
    assert "nowhere.yaml can't be read" in told.err
    assert (shop / "parts" / "bad.yaml").read_text() == "sandboxes: [1\n"


def test_a_text_that_has_no_layout_is_left_as_it_is(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = "? sandboxes\n: web: {}\n"
    (shop / "odd.yaml").write_text(odd)
    assert fmt(shop, "odd.yaml") == 1
    assert "not-formattable" in capsys.readouterr().err
    assert (shop / "odd.yaml").read_text() == odd
