"""What a call that succeeded leaves in the state. Pure, and the same for every provider.

A record tells what was applied *so far*: each operation takes in the fields that it has brought about, and no other, so
that after a crash or a failure the next plan sees exactly what is still to be done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from nexus.kinds.base import Unit
from nexus.kinds.packages import LOCK
from nexus.kinds.shared_setup import KIND as SETUP
from nexus.model.addresses import Address
from nexus.model.changes import Verb
from nexus.model.state import ResourceRecord
from nexus.model.values import Attributes, Value
from nexus.providers.base import Call

FIELD_OF: Final[Mapping[Verb, str]] = {
    Verb.ARM: "timeout",
    Verb.EXTEND: "timeout",
    Verb.SET_NETWORK: "network",
    Verb.SET_ENV: "env_vars",
    Verb.INSTALL: "packages",
    Verb.UPLOAD: "uploads",
    Verb.RUN_COMMAND: "run_commands",
    Verb.START: "start_command",
    Verb.AWAIT_READY: "ready",
    Verb.SET_TAGS: "tags",
    Verb.SET_PUBLIC: "public",
}
"""The field that each verb brings about, where its unit does not say another."""

_LEFT_BY_CREATE: Final = {"sandbox": ("timeout",), "template": ("tags", "public")}
"""Fields that a create does not bring about: a sandbox is made with a short lease first, a build with its own tag."""

_NOT_RECORDED: Final[Mapping[str, frozenset[str]]] = {
    "sandbox": frozenset(FIELD_OF.values()) - {"tags", "public"},
    "template": frozenset({"tags", "public"}),
}
"""Fields, by kind, that only their own verb may bring about. A step's timeout, for one, is nothing but remembered."""

_NOTHING_TO_UNDO: Final = ("run_commands", "startup_script", "ready")
"""Fields whose removed units need no work: forgetting them is all."""


def shared_setup(call: Call) -> ResourceRecord | None:
    """The shared setup that a create makes its sandbox from, where the operation names one."""
    if call.operation.verb is not Verb.CREATE or call.address.kind != "sandbox" or not call.operation.unit:
        return None
    return call.upstream(Address.parse(call.operation.unit))


def record_after(
    call: Call,
    *,
    id: str | None = None,
    outputs: Attributes | None = None,
    created_at: str | None = None,
    expires_at: str | None = None,
) -> ResourceRecord:
    """The record once ``call`` has succeeded. What is not given stays as it was.

    A create counts the environment variables as set: they travel with it.
    """
    base = call.record if call.record is not None and call.record.uid == call.uid else None
    record = base or ResourceRecord(address=call.address, id="", uid=call.uid)
    attributes, setup = _applied(call, record)
    return replace(
        record,
        id=record.id if id is None else id,
        attributes=attributes,
        setup=setup,
        outputs=record.outputs if outputs is None else outputs,
        created_at=record.created_at if created_at is None else created_at,
        expires_at=record.expires_at if expires_at is None else expires_at,
    )


def _applied(call: Call, record: ResourceRecord) -> tuple[Attributes, Mapping[str, str]]:
    match call.operation.verb:
        case Verb.CREATE | Verb.BUILD if call.address.kind == SETUP:
            return dict(call.attributes), _done(call.units)
        case Verb.CREATE:
            return _created(call)
        case Verb.ADOPT:
            return _adopted(call), {}
        case Verb.BUILD:
            return _built(call, record), record.setup
        case Verb.RUN_STEP:
            return dict(call.attributes), _done(call.units)
        case Verb.RECORD:
            return _recorded(call, record)
        case Verb.RESUME | Verb.DELETE | Verb.FORGET | Verb.CHECK | Verb.REFRESH:
            return record.attributes, record.setup
        case _ if call.operation.unit:
            return _unit_done(call, record)
        case verb:
            return _with(record.attributes, call.attributes, FIELD_OF[verb]), record.setup


def _done(units: Iterable[Unit]) -> dict[str, str]:
    return {unit.name: unit.digest for unit in units if unit.digest is not None}


def _created(call: Call) -> tuple[Attributes, Mapping[str, str]]:
    """The environment travels with the create; a snapshot that it is made from brings what was done for that."""
    shared = shared_setup(call)
    brought = {} if shared is None else shared.setup
    setup = _done(unit for unit in call.units if unit.verb is Verb.SET_ENV or brought.get(unit.name) == unit.digest)
    to_do = {unit.field for unit in call.units if unit.name not in setup}
    to_do.update(_LEFT_BY_CREATE.get(call.address.kind, ()))
    return {name: value for name, value in call.attributes.items() if name not in to_do}, setup


def _adopted(call: Call) -> Attributes:
    """A sandbox of other hands: what it is for good. Nothing is known of its inside, its network and its time."""
    to_do = {unit.field for unit in call.units} | {"timeout", "network"}
    return {name: value for name, value in call.attributes.items() if name not in to_do} | {"timeout": None}


def _built(call: Call, record: ResourceRecord) -> Attributes:
    """A build takes everything but what has a verb of its own.

    Wanted tags are still to be moved to it; those that remain on record are still to be taken off.
    """
    attributes = {name: value for name, value in call.attributes.items() if name not in ("tags", "public")}
    if "public" in record.attributes:
        attributes["public"] = record.attributes["public"]
    before, wanted = record.attributes.get("tags"), call.attributes.get("tags")
    if isinstance(before, list) and isinstance(wanted, list):
        attributes["tags"] = [tag for tag in before if tag not in wanted]
    return attributes


def _unit_done(call: Call, record: ResourceRecord) -> tuple[Attributes, Mapping[str, str]]:
    name, unit = call.operation.unit, call.unit
    setup = {done: digest for done, digest in record.setup.items() if done != name and done not in call.outdated}
    if unit is not None and unit.digest is not None:
        setup[name] = unit.digest
    field = unit.field if unit is not None else _field_of_lost(call)
    attributes = record.attributes
    if _all_done(call, field, setup) and not _left_over(call, record, field, setup):
        attributes = _with(attributes, call.attributes, field)
    elif name in _parts(call.attributes, field) or name in _parts(record.attributes, field):
        attributes = _with_part(attributes, call.attributes, field, name)
    return attributes, setup


def _recorded(call: Call, record: ResourceRecord) -> tuple[Attributes, Mapping[str, str]]:
    """Every field that no other verb brings about, and those of which nothing is left to be done."""
    owned = _NOT_RECORDED.get(call.address.kind, frozenset()) | {unit.field for unit in call.units}
    attributes = {name: value for name, value in record.attributes.items() if name in owned}
    attributes.update((name, value) for name, value in call.attributes.items() if name not in owned)
    wanted = {unit.name for unit in call.units}
    setup = dict(record.setup)
    for field in _NOTHING_TO_UNDO:
        for name in [done for done in setup if _base(done) == field and done not in wanted]:
            del setup[name]
        if _all_done(call, field, setup):
            attributes = dict(_with(attributes, call.attributes, field))
    return attributes, setup


def _field_of_lost(call: Call) -> str:
    base = _base(call.operation.unit)
    known = base in call.attributes or (call.record is not None and base in call.record.attributes)
    return base if known else FIELD_OF[call.operation.verb]


def _all_done(call: Call, field: str, setup: Mapping[str, str]) -> bool:
    return all(setup.get(unit.name) == unit.digest for unit in call.units if unit.field == field)


def _left_over(call: Call, record: ResourceRecord, field: str, setup: Mapping[str, str]) -> bool:
    """Whether a part of the field that is not wanted any more is still to be undone."""
    parts = _parts(record.attributes, field).keys() - {unit.name for unit in call.units}
    return any(part in setup for part in parts)


def _parts(attributes: Attributes, field: str) -> Mapping[str, Value]:
    value = attributes.get(field)
    return value if isinstance(value, dict) else {}


def _with(old: Attributes, new: Attributes, field: str) -> Attributes:
    merged = {name: value for name, value in old.items() if name != field}
    if field in new:
        merged[field] = new[field]
    return merged


def _with_part(old: Attributes, new: Attributes, field: str, part: str) -> Attributes:
    """Packages are installed manager by manager, and recorded so; their locked versions lie beside them by manager."""
    before, after = _parts(old, field), _parts(new, field)
    merged = {key: value for key, value in before.items() if key != part}
    if part in after:
        merged[part] = after[part]
    if LOCK in before or LOCK in after:
        merged[LOCK] = dict(_parts(_with_part(before, after, LOCK, part), LOCK))
    return {**old, field: merged}


def _base(unit: str) -> str:
    return unit.partition("[")[0]
