"""From what a live object says of itself to the record that was lost. Pure.

Live objects tell digests, the manifest tells values: where the digest of what is wanted is that of what was done, the
value is what was applied. Where it is not, the field is left out of the record, and the next plan sees what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from nexus.kinds.template_fields import SPEC_TAG
from nexus.model.state import ResourceRecord
from nexus.model.values import Attributes, Value
from nexus.planning.evaluate import Evaluated

FIXED: Final = ("template", "on_timeout", "auto_resume", "volumes", "metadata")
"""Fields of a sandbox that only a new one could have otherwise."""

READY: Final = "ready"
"""The unit that leaves no trace: it is only waited for."""

_SLACK: Final = 5
"""Seconds between a create and the moment at which its time to live is counted anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What a live object tells; see :class:`nexus.providers.base.Live`. ``fits`` says whether nothing differs from what
    is wanted that only a new sandbox could have. ``setup`` None: nobody could look inside; what is wanted is believed.
    """

    id: str
    uid: str
    fits: bool = True
    setup: Mapping[str, str] | None = field(default_factory=dict)
    lifetime: int = 0
    created_at: str = ""
    expires_at: str | None = None
    facts: Attributes = field(default_factory=dict)


def restored(evaluated: Evaluated, remains: Remains) -> ResourceRecord:
    """The record of a live object that the manifest wants. Its outputs are still to be added."""
    spec = evaluated.spec
    setup: Mapping[str, str] = {}
    outputs: Attributes = {}
    match spec.address.kind:
        case "sandbox":
            setup = _setup(evaluated, remains)
            attributes = _sandbox(evaluated, remains, setup)
        case "template":
            attributes = _template(evaluated.concealed, remains)
            outputs = _template_outputs(evaluated.concealed, remains)
        case "setup":
            attributes = evaluated.concealed if remains.fits else remains.facts
            setup = _wanted(evaluated) if remains.fits else {}
            outputs = {name: attributes[name] for name in ("name", "reference")}
        case _:
            attributes = outputs = evaluated.concealed
    return ResourceRecord(
        address=spec.address,
        id=remains.id,
        uid=remains.uid,
        attributes=attributes,
        outputs=outputs,
        setup=setup,
        depends_on=spec.depends_on,
        protected=spec.lifecycle.prevent_destroy,
        on_destroy=spec.lifecycle.on_destroy,
        created_at=remains.created_at,
        expires_at=remains.expires_at,
    )


def agreement(evaluated: Evaluated, remains: Remains) -> tuple[bool, int]:
    """How well a live object is what is wanted: of two for one address, the greater is the one to be kept."""
    done = remains.setup or {}
    return remains.fits, sum(done.get(unit.name) == unit.digest for unit in evaluated.units)


# ---- sandboxes


def _setup(evaluated: Evaluated, remains: Remains) -> dict[str, str]:
    wanted = _wanted(evaluated)
    if remains.setup is None:
        return wanted if remains.fits else {}
    done = dict(remains.setup)
    others = (unit for unit in evaluated.units if unit.name != READY)
    if READY in wanted and all(done.get(unit.name) == unit.digest for unit in others):
        done[READY] = wanted[READY]
    return done


def _wanted(evaluated: Evaluated) -> dict[str, str]:
    return {unit.name: unit.digest for unit in evaluated.units if unit.digest is not None}


def _sandbox(evaluated: Evaluated, remains: Remains, setup: Mapping[str, str]) -> Attributes:
    unfinished = {unit.field for unit in evaluated.units if setup.get(unit.name) != unit.digest}
    wanted_units = {unit.name for unit in evaluated.units}
    # Work of which nothing is wanted any more is still to be undone: its field is another one, too.
    unfinished.update(name for name in _fields_of(setup) if not _has_unit(name, setup, wanted_units))
    found: dict[str, Value] = {}
    for name, value in evaluated.concealed.items():
        if name in FIXED:
            if remains.fits:
                found[name] = value
            elif name in remains.facts:
                found[name] = remains.facts[name]
        elif name == "timeout":
            # A paused sandbox has no time running; it gets all of it when it is resumed.
            if remains.expires_at is None or (isinstance(value, int) and remains.lifetime >= value - _SLACK):
                found[name] = value
        elif name not in unfinished:
            found[name] = value
    return found


_FIELD_OF: Final = {
    "env": "env_vars",
    "apt": "packages",
    "pip": "packages",
    "npm": "packages",
    "start": "start_command",
}


def _fields_of(setup: Mapping[str, str]) -> set[str]:
    return {_field_of(unit) for unit in setup}


def _has_unit(name: str, setup: Mapping[str, str], wanted: set[str]) -> bool:
    """Whether everything that was done for the field is still wanted."""
    return all(unit in wanted for unit in setup if _field_of(unit) == name)


def _field_of(unit: str) -> str:
    base = unit.partition("[")[0]
    return _FIELD_OF.get(base, base)


# ---- templates


def _template(wanted: Attributes, remains: Remains) -> Attributes:
    builds, public = _builds(remains), remains.facts.get("public")
    build_id = builds.get(_tag(wanted))
    tags: list[Value] = [
        *sorted(
            tag for tag, other in builds.items() if not tag.startswith(SPEC_TAG) and (other == build_id or not build_id)
        )
    ]
    if build_id is None:  # another build than the wanted one: all that is known is what it is called
        return {"tags": tags, "public": public}
    return {**wanted, "tags": tags, "public": public}


def _template_outputs(wanted: Attributes, remains: Remains) -> Attributes:
    shown = {name: wanted.get(name) for name in ("address", "name", "reference", "language", "env_vars")}
    return {**shown, "id": remains.id, "build_id": _builds(remains).get(_tag(wanted), "")}


def _tag(wanted: Attributes) -> str:
    return str(wanted.get("reference", "")).rpartition(":")[2]


def _builds(remains: Remains) -> dict[str, str]:
    builds = remains.facts.get("builds")
    return {str(tag): str(build_id) for tag, build_id in builds.items()} if isinstance(builds, dict) else {}
