"""The user database of machines: the host's system accounts, root, and ``user``; never the host's people."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

USER_NAME: Final = "user"
USER_ID: Final = 1000
USER_HOME: Final = "/home/user"

_NOBODY: Final = 65534
_SYSTEM_IDS: Final = range(1000)
_FALLBACK_PASSWD: Final = ("root:x:0:0:root:/root:/bin/bash", "nobody:x:65534:65534:nobody:/nonexistent:/bin/sh")
_FALLBACK_GROUP: Final = ("root:x:0:", "nogroup:x:65534:")


def write_accounts(etc: Path, host_etc: Path) -> None:
    """Write passwd, group and their shadows to ``etc``."""
    users = list(_users(_rows(host_etc / "passwd", _FALLBACK_PASSWD)))
    groups = list(_groups(_rows(host_etc / "group", _FALLBACK_GROUP), {row[0] for row in users}))
    _write(etc / "passwd", (":".join(row) for row in users))
    _write(etc / "group", (":".join(row) for row in groups))
    # "*" is no hash of any password: logins by password are off, su and sudo do not ask for one.
    _write(etc / "shadow", (f"{row[0]}:*:19000:0:99999:7:::" for row in users), 0o640)
    _write(etc / "gshadow", (f"{row[0]}:*::{row[3]}" for row in groups), 0o640)
    for name in ("subuid", "subgid"):
        _write(etc / name, ())
    if os.geteuid() == 0:
        group = next((int(row[2]) for row in groups if row[0] == "shadow"), 0)
        for name in ("shadow", "gshadow"):
            os.chown(etc / name, 0, group)


def _users(rows: Iterable[list[str]]) -> Iterable[list[str]]:
    for row in rows:
        if len(row) != 7 or not _belongs_to_system(row[2]) or row[0] == USER_NAME:
            continue
        # A password hash kept in passwd itself, and the full names of people, stay on the host.
        name, uid, gid, home, shell = row[0], row[2], row[3], row[5], row[6]
        if uid == "0":
            home, shell = "/root", "/bin/bash"
        yield [name, "x", uid, gid, name, home, shell]
    yield [USER_NAME, "x", str(USER_ID), str(USER_ID), "", USER_HOME, "/bin/bash"]


def _groups(rows: Iterable[list[str]], users: set[str]) -> Iterable[list[str]]:
    for row in rows:
        if len(row) != 4 or not _belongs_to_system(row[2]) or row[0] == USER_NAME:
            continue
        members = [name for name in row[3].split(",") if name in users]
        if row[0] in {"sudo", "wheel"}:
            members.append(USER_NAME)
        yield [row[0], "x", row[2], ",".join(members)]
    yield [USER_NAME, "x", str(USER_ID), ""]


def _belongs_to_system(number: str) -> bool:
    return number.isdigit() and (int(number) in _SYSTEM_IDS or int(number) == _NOBODY)


def _rows(path: Path, fallback: tuple[str, ...]) -> list[list[str]]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    rows = [line.split(":") for line in lines if line and line[0] not in "#+-"]
    return rows or [line.split(":") for line in fallback]


def _write(path: Path, lines: Iterable[str], mode: int = 0o644) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(mode)
