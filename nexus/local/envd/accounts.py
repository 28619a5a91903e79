"""Users and groups of the machine, read from ``/etc/passwd`` and ``/etc/group`` without the C library's name service.

The name service loads shared libraries on first use, which a process that has changed its root must not do. The files
are read again whenever they change, so a user added inside the sandbox is known at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class UnknownUserError(LookupError):
    """No such user in ``/etc/passwd``; the one argument is the name asked for."""

    @property
    def username(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One user, with the numbers of the supplementary groups that list it."""

    name: str
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: frozenset[str]


class Accounts:
    """Lookup of users and groups in one ``etc`` directory."""

    def __init__(self, etc: Path = Path("/etc")) -> None:
        self._passwd = _Table(etc / "passwd")
        self._group = _Table(etc / "group")

    def user(self, name: str) -> Account:
        """The account called ``name``. Raises :class:`UnknownUserError`."""
        for row in self._passwd.rows():
            if len(row) >= 7 and row[0] == name:
                return self._account(row)
        raise UnknownUserError(name)

    def user_name(self, uid: int) -> str:
        """The name of ``uid``, or its digits when no account has it."""
        return self._passwd.name_of(uid)

    def group_name(self, gid: int) -> str:
        """The name of ``gid``, or its digits when no group has it."""
        return self._group.name_of(gid)

    def _account(self, row: list[str]) -> Account:
        name, uid, gid = row[0], int(row[2]), int(row[3])
        groups = {group.gid for group in self._groups() if name in group.members}
        return Account(name=name, uid=uid, gid=gid, home=row[5] or "/", groups=tuple(sorted(groups | {gid})))

    def _groups(self) -> list[_Group]:
        return [
            _Group(row[0], int(row[2]), frozenset(row[3].split(",")))
            for row in self._group.rows()
            if len(row) >= 4 and row[2].isdigit()
        ]


class _Table:
    """The rows of a colon-separated file, cached until the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._rows: list[list[str]] = []
        self._names: dict[str, str] = {}

    def rows(self) -> list[list[str]]:
        self._refresh()
        return self._rows

    def name_of(self, number: int) -> str:
        self._refresh()
        return self._names.get(str(number), str(number))

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen == self._seen:
                return
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            seen, text = None, ""
        self._seen = seen
        self._rows = [line.split(":") for line in text.splitlines() if line and not line.startswith("#")]
        self._names = {}
        for row in self._rows:
            if len(row) >= 3:
                self._names.setdefault(row[2], row[0])
