"""Requests of an apply held against its plan: what changes something has to be what an operation of the plan does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nexus.model.addresses import Address
from nexus.model.state import ResourceRecord, State

_SANDBOX: Final = re.compile(r"/(?:v2/)?sandboxes/([^/?]+)(/[^?]*)?")
_CREATE: Final = re.compile(r"/(?:v2/)?sandboxes$")
_TEMPLATES: Final = re.compile(r"/(?:v\d/)?templates")
_VOLUME: Final = re.compile(r"/volumes(?:/([^/?]+))?$")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PRESENT: Final = frozenset({"/connect"})
"""Ways into a sandbox, which change nothing that was declared."""


@dataclass(slots=True)
class _Planned:
    """What the operations of a plan may do. Ids are those of before and after the apply."""

    operations: Sequence[Mapping[str, Any]]
    before: State
    after: State
    made: Counter[str] = field(default_factory=Counter)

    def ids_of(self, address: str) -> set[str]:
        wanted = Address.parse(address)
        records: list[ResourceRecord] = [*self.before.deposed, *self.after.deposed]
        for state in (self.before, self.after):
            records += [state.resources[wanted]] if wanted in state.resources else []
        return {record.id for record in records if record.address == wanted}

    def touched(self) -> set[str]:
        """Sandboxes in which, or to which, something is to be done: those of steps too."""
        found: set[str] = set()
        for item in self.operations:
            found |= self.ids_of(item["address"])
            record = self.after.resources.get(Address.parse(item["address"]))
            sandbox = record.attributes.get("sandbox") if record is not None else None
            if isinstance(sandbox, dict):
                found.add(str(sandbox.get("id")))
        return found

    def deleted(self) -> set[str]:
        verbs = [item for item in self.operations if item["verb"] == "delete"]
        return {record for item in verbs for record in self.ids_of(item["address"])}

    def count(self, verb: str, *kinds: str) -> int:
        return sum(item["verb"] == verb and item["address"].partition(".")[0] in kinds for item in self.operations)

    @property
    def known(self) -> set[str]:
        states = (self.before, self.after)
        return {record.id for state in states for record in (*state.resources.values(), *state.deposed)}


def surprises(
    heads: Iterable[bytes],
    operations: Sequence[Mapping[str, Any]],
    before: State,
    after: State,
    *,
    deep: bool = False,
) -> list[str]:
    """Requests that change something no operation is about, and calls made more often than planned.

    A ``deep`` look asks in every sandbox that runs. A sandbox that no state knows is the workshop of a shared setup:
    there may be as many as setups are made.
    """
    planned = _Planned(operations, before, after)
    setups = planned.count("create", "setup") + planned.count("build", "setup")
    touched, deleted, known = planned.touched(), planned.deleted(), planned.known
    workshops: set[str] = set()
    found: list[str] = []
    for head in heads:
        method, target, sandbox = _read(head)
        if sandbox is not None:
            if sandbox not in known:
                workshops.add(sandbox)
            elif sandbox not in touched and not deep:
                found.append(f"{method} {target} in {sandbox}")
            continue
        if method in _READING:
            continue
        if _CREATE.fullmatch(target):
            planned.made["sandbox"] += 1
        elif match := _SANDBOX.match(target):
            found += _about_sandbox(method, match, touched, deleted, known, workshops)
        elif match := _VOLUME.match(target):
            if match[1] is None:
                planned.made["volume"] += 1
            elif match[1] not in deleted:
                found.append(f"{method} {target}")
        elif _TEMPLATES.match(target):
            if not any(item["address"].partition(".")[0] in ("template", "catalogue", "setup") for item in operations):
                found.append(f"{method} {target}")
        else:
            found.append(f"{method} {target}")
    if planned.made["sandbox"] > planned.count("create", "sandbox") + setups:
        found.append(f"{planned.made['sandbox']} sandboxes made")
    if planned.made["volume"] > planned.count("create", "volume"):
        found.append(f"{planned.made['volume']} volumes made")
    if len(workshops) > setups:
        found.append(f"unknown sandboxes: {sorted(workshops)}")
    return found


def _about_sandbox(
    method: str, match: re.Match[str], touched: set[str], deleted: set[str], known: set[str], workshops: set[str]
) -> list[str]:
    sandbox, what = match[1], match[2] or ""
    if sandbox not in known:
        workshops.add(sandbox)
        return []
    allowed = deleted if method == "DELETE" else touched
    return [] if sandbox in allowed or what in _PRESENT else [f"{method} {match[0]}"]


def _read(head: bytes) -> tuple[str, str, str | None]:
    """Method, path without its query, and the sandbox that it is sent into, if any."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, *_ = first.split(" ")
    fields = dict((name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    inside = fields.get("e2b-sandbox-id")
    if inside is None and (match := re.match(r"\d+-([a-z0-9]+)", fields.get("host", ""))):
        inside = match[1]
    return method, target.partition("?")[0], inside
