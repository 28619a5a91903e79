"""The state as one document, replaced only if it is still as it is known. Those before it are kept beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import quote, unquote

from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import State
from nexus.stores.base import StateVersion
from nexus.stores.checks import Version, check_write
from nexus.stores.lock_messages import fenced_off
from nexus.stores.remote.fencing import Fenced
from nexus.stores.remote.objects import ConflictError, Objects, Stored
from nexus.stores.statefile import decode, encode, fenced, read_version

STATE: Final = "state"
VERSIONS: Final = "versions/"
KEPT_VERSIONS: Final = 50

_CLEARING: Final = 10
"""How often, in writes, it is seen whether there are more versions than are kept."""


class RemoteStateStore:
    """See :class:`nexus.stores.base.StateStore`.

    ``is_guarded``: the server itself refuses a state from who does not hold its lock, and need not be helped.
    """

    def __init__(self, objects: Objects, *, is_guarded: bool = False) -> None:
        self._objects = objects
        self._document = Fenced(objects, STATE)
        self._is_guarded = is_guarded

    async def read(self) -> State | None:
        found = await asyncio.to_thread(self._document.get)
        return decode(found.content, self._objects.place) if found is not None and found.content else None

    async def write(self, state: State, expected_serial: int | None) -> None:
        await asyncio.to_thread(self._write, state, expected_serial)

    async def fence(self) -> None:
        if not self._is_guarded:
            await asyncio.to_thread(self._document.fence, fenced)

    def _write(self, state: State, expected_serial: int | None) -> None:
        content = encode(state)
        if expected_serial is None:
            self._replace_anything(content)
            return
        there, wanted = self._document.get(), Version(state.lineage, expected_serial)
        check_write(self._version(there), wanted)
        if there is not None:
            self._keep(there)
        try:
            self._document.put(content, None if there is None else there.version)
        except ConflictError:
            check_write(self._version(self._document.get()), wanted)
            raise DiagnosticsError(fenced_off()) from None

    def _replace_anything(self, content: bytes) -> None:
        while True:
            with suppress(DiagnosticsError):  # what can't even be opened can't be kept either
                if (there := self._document.get()) is not None:
                    self._keep(there)
            version = self._objects.version(STATE)
            if not self._document.is_ours(version):
                raise DiagnosticsError(fenced_off())
            with suppress(ConflictError):
                self._document.put(content, version)
                return

    def _version(self, there: Stored | None) -> Version:
        if there is None or not there.content:
            return Version()
        return read_version(there.content, self._objects.place)

    def _keep(self, there: Stored) -> None:
        """A copy of what is about to be replaced. What can't be read is kept, too: it may be all that there is."""
        if not there.content:
            return
        try:
            version = read_version(there.content)
        except DiagnosticsError:
            version = Version("damaged", 0)
        with suppress(ConflictError):  # it was kept already, by a write that did not come further
            self._objects.put(_name(version), there.content, None)
        if version.serial % _CLEARING == 0:
            self._objects.remove(self._objects.names(VERSIONS)[:-KEPT_VERSIONS])


class RemoteVersions:
    """See :class:`nexus.stores.base.VersionStore`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def list(self) -> Sequence[StateVersion]:
        names = await asyncio.to_thread(self._objects.names, VERSIONS)
        return [version for name in reversed(names) if (version := _parse(name)) is not None]

    async def read(self, version: StateVersion) -> State | None:
        name = _name(Version(version.lineage, version.serial))
        found = await asyncio.to_thread(self._objects.get, name)
        return None if found is None else decode(found.content, f"{self._objects.place}/{name}")

    async def clear(self) -> None:
        await asyncio.to_thread(lambda: self._objects.remove(self._objects.names(VERSIONS)))


def _name(version: Version) -> str:
    """In the order of their serials, also as text."""
    return f"{VERSIONS}{version.serial:010d}-{quote(version.lineage, safe='')}"


def _parse(name: str) -> StateVersion | None:
    serial, _, lineage = name.removeprefix(VERSIONS).partition("-")
    return StateVersion(int(serial), unquote(lineage)) if serial.isdigit() and int(serial) else None
