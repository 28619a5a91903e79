"""The section ``state``: where what is remembered of a project is kept, and what it is encrypted with.

Nothing secret stands in it: who may read and write there is found in the environment, and a key where the section says
that it is. What it says of its keys has the form of the section ``secrets``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from nexus.kinds.durations import parse_duration
from nexus.kinds.reading import InvalidValue
from nexus.manifest import Manifest, Plain
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, SourceRange, error

LOCAL: Final = "local"
ENCRYPTION: Final = "encryption"
LEASE: Final = "lease"
SHORTEST_LEASE: Final = 5

FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = MappingProxyType(
    {
        LOCAL: ((), ()),
        "s3": (("bucket",), ("prefix", "region", "endpoint")),
        "gcs": (("bucket",), ("prefix",)),
        "azure": (("account", "container"), ("prefix", "endpoint")),
        "postgres": ((), ("host", "port", "database", "user", "sslmode", "schema", "prefix")),
        "http": (("address",), ("lock_suffix", "update_method", "lock_method", "unlock_method")),
    }
)
"""By backend: the fields that say where, those that must be there and those that may."""

_WAYS: Final = ("region", "user", "sslmode", "lock_suffix", "update_method", "lock_method", "unlock_method")
"""Fields that say how a place is reached, and not which it is."""

_OF_ALL_BUT_LOCAL: Final = (ENCRYPTION, LEASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePlace:
    """Where the states of a project are. ``fields`` are the ones of its backend, as texts.

    ``keys`` says where the encryption's keys are, the one that seals first; none where nothing is encrypted. ``lease``
    is how long a lock outlives the last sign of life of its holder, in seconds; None leaves it to the store.
    """

    backend: str = LOCAL
    fields: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[Mapping[str, str], ...] = ()
    lease: float | None = None

    @property
    def is_local(self) -> bool:
        return self.backend == LOCAL

    def is_same_place(self, other: StatePlace) -> bool:
        """Whether a state that was written to the other is found here, and can be read."""
        return self._identity() == other._identity()

    def _identity(self) -> tuple[str, dict[str, str], bool]:
        where = {name: text for name, text in self.fields.items() if name not in _WAYS}
        return self.backend, where, bool(self.keys)

    def __str__(self) -> str:
        """For people: the backend, and where that is."""
        if self.is_local:
            return "the project's folder (.nexus)"
        where = ", ".join(f"{name} {text}" for name, text in self.fields.items())
        return f"{self.backend} ({where}{', encrypted' if self.keys else ''})"


def state_place(manifest: Manifest) -> StatePlace:
    """What the manifest says. Raises DiagnosticsError where it makes no sense."""
    section = manifest.values.get("state")
    if section is None:
        return StatePlace()
    place = manifest.places(("state",))
    if not isinstance(section, dict):
        raise DiagnosticsError(_invalid("state must be a mapping", place))
    problems = check_state_place(section, place)
    if problems:
        raise DiagnosticsError(problems)
    found = parse_state_place(section)
    if found.is_local or "prefix" not in _known(found.backend) or "prefix" in found.fields:
        return found
    return StatePlace(
        backend=found.backend, fields={**found.fields, "prefix": manifest.project}, keys=found.keys, lease=found.lease
    )


def parse_state_place(section: Mapping[str, Plain]) -> StatePlace:
    """The section without errors that it has this form."""
    backend = str(section.get("backend", LOCAL))
    lease = section.get(LEASE)
    return StatePlace(
        backend=backend,
        fields={name: str(section[name]) for name in _known(backend) if section.get(name) is not None},
        keys=tuple(_keys(section.get(ENCRYPTION))),
        lease=None if lease is None else float(parse_duration(lease)),
    )


def state_place_to_json(place: StatePlace) -> dict[str, Plain]:
    """The section that says it."""
    section: dict[str, Plain] = {"backend": place.backend, **place.fields}
    if place.keys:
        first, *previous = (dict[str, Plain](key) for key in place.keys)
        section[ENCRYPTION] = {"key": first, "previous": [*previous]}
    if place.lease is not None:
        section[LEASE] = int(place.lease)
    return section


def check_state_place(section: Mapping[str, Plain], place: SourceRange | None = None) -> tuple[Diagnostic, ...]:
    """What is wrong with the section beyond the form of its fields: those that are missing, or of another backend."""
    backend = str(section.get("backend", LOCAL))
    if backend not in FIELDS:
        return (_invalid(f"there is no backend {backend}: it is one of {', '.join(FIELDS)}", place),)
    required, _ = FIELDS[backend]
    known = ("backend", *_known(backend), *(() if backend == LOCAL else _OF_ALL_BUT_LOCAL))
    problems = [
        _invalid(f"the backend {backend} needs {name}", place, f"add {name}: …")
        for name in required
        if not section.get(name)
    ]
    problems += [
        _invalid(f"the backend {backend} has no {name}", place, f"it has {', '.join(known)}")
        for name in section
        if name not in known
    ]
    try:
        lease = section.get(LEASE)
        if lease is not None and parse_duration(lease) < SHORTEST_LEASE:
            problems.append(_invalid(f"a lease of less than {SHORTEST_LEASE} seconds would end by chance", place))
    except InvalidValue as problem:
        problems.append(_invalid(f"lease must be {problem}", place))
    encryption = section.get(ENCRYPTION)
    if encryption is not None and not list(_keys(encryption)):
        problems.append(_invalid("encryption needs a key, such as {env: NEXUS_STATE_KEY}", place))
    return tuple(problems)


def _known(backend: str) -> tuple[str, ...]:
    required, optional = FIELDS[backend]
    return (*required, *optional)


def _keys(encryption: Plain) -> list[Mapping[str, str]]:
    match encryption:
        case {"key": dict(key), "previous": list(previous)}:
            return [_source(key), *(_source(item) for item in previous if isinstance(item, dict))]
        case {"key": dict(key)}:
            return [_source(key)]
        case _:
            return []


def _source(key: Mapping[str, Plain]) -> Mapping[str, str]:
    return {str(name): str(value) for name, value in key.items()}


def _invalid(summary: str, place: SourceRange | None, hint: str = "") -> Diagnostic:
    return error("invalid-state-place", f"The state can't be kept there: {summary}", hint=hint, range=place)
