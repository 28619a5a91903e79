"""Deleting without waiting, and what is left for the next start."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus.local.storage import trash as trash_module
from nexus.local.storage.removal import RemovalStoppedError, leftovers_of, remove_aside, remove_tree
from nexus.local.storage.trash import Trash
from tests.local.waiting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "trash"
    made.mkdir()
    return made


@pytest.fixture
def trash(folder: Path) -> Iterator[Trash]:
    made = Trash(folder)
    yield made
    made.stop()


def full(path: Path) -> Path:
    (path / "a/b").mkdir(parents=True)
    (path / "a/b/file").write_text("x")
    return path


def test_what_is_thrown_away_is_gone_at_once_and_off_the_disk_soon(trash: Trash, folder: Path, tmp_path: Path) -> None:
    trash.start()
    assert trash.take(full(tmp_path / "thing")) is True
    assert not (tmp_path / "thing").exists()
    assert trash.take(tmp_path / "thing") is False
    wait_until(lambda: not list(folder.iterdir()), "the trash is empty")


def test_what_an_earlier_engine_left_is_removed_at_the_start(trash: Trash, folder: Path, tmp_path: Path) -> None:
    trash.take(full(tmp_path / "thing"))
    assert len(list(folder.iterdir())) == 1
    trash.start()
    wait_until(lambda: not list(folder.iterdir()), "the trash is empty")


def test_what_resists_is_tried_again(
    trash: Trash, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash_module, "_RETRY_SECONDS", 0.01)
    attempts: list[Path] = []

    def resisting(path: Path, should_stop: object = None) -> None:
        attempts.append(path)
        if len(attempts) < 3:
            raise OSError("something is still being written here")
        remove_tree(path)

    monkeypatch.setattr(trash_module, "remove_tree", resisting)
    trash.start()
    trash.take(full(tmp_path / "thing"))
    wait_until(lambda: not list(folder.iterdir()), "the trash is empty")
    assert len(attempts) >= 3


def test_a_stop_does_not_wait_for_the_end_of_a_removal(
    trash: Trash, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = threading.Event()

    def endless(path: Path, should_stop: object = None) -> None:
        assert callable(should_stop)
        entered.set()
        while not should_stop():
            threading.Event().wait(0.001)
        raise RemovalStoppedError

    monkeypatch.setattr(trash_module, "remove_tree", endless)
    trash.start()
    trash.take(full(tmp_path / "thing"))
    assert entered.wait(60)
    trash.stop()
    assert len(list(folder.iterdir())) == 1


def test_a_guest_in_the_store_removes_its_own_things_only(folder: Path, tmp_path: Path) -> None:
    full(folder / "of-another-engine")
    guest = Trash(folder, shared=True)
    guest.start()
    guest.take(full(tmp_path / "thing"))
    guest.stop()
    assert [entry.name for entry in folder.iterdir()] == ["of-another-engine"]


def test_a_removal_can_be_stopped_and_taken_up_again(tmp_path: Path) -> None:
    tree = full(tmp_path / "thing")
    with pytest.raises(RemovalStoppedError):
        remove_tree(tree, lambda: True)
    assert tree.exists()
    remove_tree(tree)
    assert not tree.exists()


def test_removing_aside_answers_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    home = full(tmp_path / "home")
    remove_aside(home)
    assert not home.exists()
    wait_until(lambda: not leftovers_of(home), "what was put aside is gone")
    remove_aside(home)


def test_removing_aside_removes_right_here_what_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = full(tmp_path / "home")

    def refuse(_self: Path, _target: Path) -> Path:
        raise PermissionError

    monkeypatch.setattr(Path, "rename", refuse)
    remove_aside(home)
    assert not home.exists()


def test_two_may_remove_the_same_tree(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for folder in range(60):
        (top / f"{folder}/a/b").mkdir(parents=True)
        (top / f"{folder}/a/file").write_text("x")
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(remove_tree, top) for _ in range(4)]:
            done.result()
    assert not top.exists()


def test_an_ordinary_users_folder_is_taken_without_its_write_bit(trash: Trash, folder: Path, tmp_path: Path) -> None:
    full(tmp_path / "thing").chmod(0o555)
    assert trash.take(tmp_path / "thing") is True
    assert not (tmp_path / "thing").exists()


def test_what_cannot_be_moved_is_not_waited_for(trash: Trash, folder: Path) -> None:
    def refuse(_target: Path) -> None:
        raise IsADirectoryError

    with pytest.raises(IsADirectoryError):
        trash.receive(refuse)
    trash.start()
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_mount_point_stays_with_nothing_in_it(tmp_path: Path) -> None:
    home = tmp_path / "volume"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(home)], check=True)
    try:
        (home / "layers" / "one").mkdir(parents=True)
        (home / "engine.json").write_text("{}")
        remove_aside(home)
        assert list(home.iterdir()) == []
    finally:
        subprocess.run(["umount", str(home)], check=True)
