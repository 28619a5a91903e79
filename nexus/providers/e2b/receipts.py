"""The receipt inside a sandbox: which setup units are done there, written by the command that did them.

A crash between a finished command and the journal would otherwise leave it unknown whether the command ran. The receipt
holds digests and names, never a value. It belongs to one incarnation: one that a snapshot carried along does not count.
It tells in which sandbox it was written: a fork has all the marks of its source, and the receipt, but another id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from nexus.kinds.packages import package_name
from nexus.model.state import LOST
from nexus.providers.base import Call

FOLDER: Final = "/var/lib/nexus"
PATH: Final = f"{FOLDER}/receipt.json"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished unit: what was done, and by which call."""

    digest: str
    key: str


@dataclass(frozen=True, slots=True)
class Origin:
    """The incarnation that a receipt was written for, and the sandbox that it was written in."""

    uid: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """``env_names`` are all variables ever set; those not wanted any more have to be unset. ``boot`` is the boot in
    which the processes and the environment of ``units`` were made. ``restored``: there was none any more, and what it
    tells was believed of the state, which does not know whether variables were set. ``extras`` are packages, by
    manager, that were installed without being declared. ``origin`` is None in old ones.
    """

    uid: str = ""
    address: str = ""
    origin: Origin | None = None
    units: Mapping[str, Entry] = field(default_factory=dict)
    env_names: tuple[str, ...] = ()
    boot: str = ""
    restored: bool = False
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def for_call(self, call: Call) -> Receipt:
        """This receipt where it is about the sandbox that ``call`` means, else one for it with what the state tells.

        With nothing in it, the next deep look would find undone whatever else had been done.
        """
        here = self.origin if call.record is None else Origin(call.uid, call.record.id)
        if self.uid == call.uid:
            return replace(self, origin=here)
        known = {} if call.record is None else call.record.setup
        units = {name: Entry(digest, "") for name, digest in known.items() if digest != LOST}
        return Receipt(uid=call.uid, address=str(call.address), origin=here, units=units, restored=bool(units))

    def tells_done(self, call: Call) -> bool:
        """Whether the unit of ``call`` has been done already, although the record does not say so.

        A unit that the record has with the same digest, or as lost, is being repeated on purpose.
        """
        unit, done = call.unit, self.units.get(call.operation.unit)
        if unit is None or done is None or unit.digest is None or done.digest != unit.digest:
            return False
        recorded = call.record.setup.get(unit.name) if call.record is not None else None
        return done.key == call.key or recorded not in (unit.digest, LOST)

    def after(self, call: Call, *, boot: str = "") -> Receipt:
        """The receipt once the unit of ``call`` is done (or undone, where it is not wanted any more)."""
        over = {call.operation.unit, *call.outdated}
        units = {name: entry for name, entry in self.units.items() if name not in over}
        unit = call.unit
        if unit is not None and unit.digest is not None:
            units[unit.name] = Entry(unit.digest, call.key)
        extras = {manager: names for manager, names in self.extras.items() if manager != call.operation.unit}
        return replace(self, units=units, boot=boot or self.boot, extras=extras)

    def after_change(self, manager: str, added: Sequence[str], removed: Sequence[str]) -> Receipt:
        """The receipt once packages were installed or removed that nobody declared so.

        The manager's unit is not as it was done any more.
        """
        gone = {*removed, *(package_name(manager, name) for name in added)}
        kept = [name for name in self.extras.get(manager, ()) if package_name(manager, name) not in gone]
        units = {name: entry for name, entry in self.units.items() if name != manager}
        return replace(self, units=units, extras={**self.extras, manager: (*kept, *added)})

    def with_units(self, units: Mapping[str, Entry]) -> Receipt:
        """The same, telling these units done."""
        return replace(self, units=dict(units), restored=False)

    def is_own(self, sandbox_id: str) -> bool:
        """Whether it was written in this sandbox, and did not come from elsewhere."""
        return self.origin is not None and self.origin.id == sandbox_id

    def tells_copy(self, sandbox_id: str, uid: str) -> bool | None:
        """Whether the sandbox that this was found in is another than the one whose marks, with ``uid``, it bears.

        None where that can't be told: a receipt of another incarnation may have come with the template.
        """
        if self.origin is None:
            return None
        if self.origin.uid == uid:
            return self.origin.id != sandbox_id
        return True if self.is_own(sandbox_id) else None  # a fork that became a resource of its own

    def to_json(self) -> str:
        return json.dumps(
            {
                "version": VERSION,
                "uid": self.uid,
                "address": self.address,
                **({"origin": [self.origin.uid, self.origin.id]} if self.origin else {}),
                "units": {name: {"digest": entry.digest, "key": entry.key} for name, entry in self.units.items()},
                "env_names": sorted(self.env_names),
                "boot": self.boot,
                **({"restored": True} if self.restored else {}),
                **({"extras": {name: list(item) for name, item in self.extras.items()}} if self.extras else {}),
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Receipt:
        """Inverse of :meth:`to_json`; what is no receipt (or one of a newer nexus) reads as an empty one."""
        try:
            match json.loads(text):
                case {"version": 1, "uid": str(uid), "address": str(address), "units": dict(units), **rest}:
                    return cls(
                        uid=uid,
                        address=address,
                        origin=_origin(rest.get("origin")),
                        units={str(name): _entry(entry) for name, entry in units.items()},
                        env_names=tuple(str(name) for name in _list(rest.get("env_names"))),
                        boot=str(rest.get("boot", "")),
                        restored=rest.get("restored") is True,
                        extras=_extras(rest.get("extras")),
                    )
        except (ValueError, TypeError, KeyError):
            pass
        return cls()


def _entry(data: object) -> Entry:
    match data:
        case {"digest": str(digest), "key": str(key)}:
            return Entry(digest, key)
    raise ValueError("not an entry of a receipt")


def _origin(data: object) -> Origin | None:
    match data:
        case [str(uid), str(sandbox_id)]:
            return Origin(uid, sandbox_id)
    return None


def _extras(data: object) -> dict[str, tuple[str, ...]]:
    items = data.items() if isinstance(data, dict) else ()
    return {str(manager): tuple(str(name) for name in _list(names)) for manager, names in items}


def _list(data: object) -> list[object]:
    return data if isinstance(data, list) else []


def commit_command(source: str) -> str:
    """A command that puts the file ``source`` in the receipt's place in one move."""
    return f"cp -f {source} {PATH}.new && mv -f {PATH}.new {PATH}"
