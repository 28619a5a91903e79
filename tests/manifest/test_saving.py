"""Files of a manifest are written whole, or not at all."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus.manifest import save
from nexus.model.diagnostics import DiagnosticsError


def test_a_file_is_replaced_behind_its_link_and_keeps_its_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "nexus.yaml"
    real.write_bytes(b"old")
    real.chmod(0o604)
    link.symlink_to("real.yaml")
    save(link, "nexus.yaml", b"old", b"new")
    assert (link.is_symlink(), real.read_bytes(), real.stat().st_mode & 0o777) == (True, b"new", 0o604)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nexus.yaml", "real.yaml"]


def test_what_somebody_else_wrote_meanwhile_stays(tmp_path: Path) -> None:
    file = tmp_path / "nexus.yaml"
    file.write_bytes(b"theirs")
    with pytest.raises(DiagnosticsError, match="changed while nexus was working"):
        save(file, "nexus.yaml", b"old", b"new")
    assert file.read_bytes() == b"theirs"


def test_a_file_that_can_not_be_written_is_left_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "nexus.yaml"
    file.write_bytes(b"old")

    def refuse(source: Path, destination: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(DiagnosticsError) as raised:
        save(file, "nexus.yaml", b"old", b"new")
    assert raised.value.diagnostics[0].code == "file-unwritable"
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_of_two_that_are_written_at_once_one_is_there_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two «nexus lock» in one folder."""
    file, both, replace = tmp_path / "nexus.lock", threading.Barrier(2), Path.replace

    def in_step(source: Path, destination: Path) -> Path:
        both.wait(30)
        return replace(source, destination)

    monkeypatch.setattr(Path, "replace", in_step)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda content: save(file, "nexus.lock", None, content), [b"one" * 1000, b"two" * 1000]))
    assert file.read_bytes() in (b"one" * 1000, b"two" * 1000)
    assert list(tmp_path.iterdir()) == [file]
