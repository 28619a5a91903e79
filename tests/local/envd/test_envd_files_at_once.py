"""Files that others change while a request that gives them turns is at work on them."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

import pytest

from nexus.local.envd import file_routes, filesystem_service
from nexus.local.envd.accounts import Account


async def test_a_folder_is_removed_though_others_remove_from_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem_service, "_TURN", 1)
    folder = tmp_path / "folder"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").touch()
    (folder / "file").touch()
    removing = asyncio.create_task(filesystem_service._remove(str(folder)))
    await asyncio.sleep(0)
    (folder / "file").unlink()
    await removing
    assert not folder.exists()


async def test_files_that_are_joined_twice_at_once_are_joined(tmp_path: Path) -> None:
    sources = [tmp_path / "one", tmp_path / "two"]
    for source in sources:
        source.write_text(source.name)
    destination = tmp_path / "whole"
    join = file_routes._join
    await asyncio.gather(
        *(join([str(source) for source in sources], str(destination), _own_account()) for _ in range(2))
    )
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
    assert destination.read_text() == "onetwo"


def _own_account() -> Account:
    entry = pwd.getpwuid(os.getuid())
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, home=entry.pw_dir, groups=())
