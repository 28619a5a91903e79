"""Packages: lists by manager, or one list whose bare names belong to the template's language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from nexus.kinds.reading import InvalidValue, inside, line, mapping, sequence, shown, spread, within
from nexus.model.values import UNKNOWN, Sensitive, Unknown, Value

MANAGERS: Final = ("apt", "pip", "npm")
"""In the order in which they install: what apt brings, the others may need."""

LOCK: Final = "lock"
"""The key of normalised packages, beside those of the managers, under which the lock file's versions are."""

MANAGER_OF_LANGUAGE: Final = {"python": "pip", "node": "npm", "base": "apt"}

_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}}
PACKAGES_SCHEMA = {
    "title": "list of packages",
    "anyOf": [
        {"type": "array", "items": {"type": "string", "minLength": 1}},
        {"type": "object", "properties": dict.fromkeys(("pip", "npm", "apt"), _NAMES), "additionalProperties": False},
    ],
    "examples": [["pandas", "apt:git"], {"pip": ["httpx"], "npm": ["typescript"], "apt": ["jq"]}],
}


@dataclass(frozen=True, slots=True)
class Pins:
    """What one manager is to have installed, in exact versions, as it wants them written.

    ``added`` is what the requirements bring, ``base`` what the template has already. ``file`` is the digest of the tree
    that holds npm's own lock files.
    """

    added: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    file: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.added, *self.base)


@dataclass(frozen=True, slots=True)
class PackageSet:
    """What to install, as each manager wants it written. ``pins`` are those of the lock file, by manager."""

    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    pins: Mapping[str, Pins] = field(default_factory=dict)

    def of(self, manager: str) -> tuple[str, ...]:
        return {"apt": self.apt, "pip": self.pip, "npm": self.npm}[manager]

    def __bool__(self) -> bool:
        return bool(self.apt or self.pip or self.npm)


def no_packages() -> dict[str, Value]:
    """The normalised form of nothing to install."""
    return {manager: [] for manager in MANAGERS}


def read_packages(value: Value, language: Value) -> Value:
    """``{"apt": […], "pip": […], "npm": […]}``, each sorted and without repetitions.

    ``language`` is the template's: python, node, base, "" where nobody knows it, or UNKNOWN. Raises InvalidValue.
    """
    value = spread(value)
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, dict):
        return _by_manager(value)
    found: dict[str, list[Value]] = {manager: [] for manager in MANAGERS}
    for item in sequence(value):
        if isinstance(item, Unknown | Sensitive):
            raise InvalidValue("a list of plain names", hint="write secret or computed names under pip:, npm: or apt:")
        prefix, colon, rest = line(item).partition(":")
        if colon and prefix in MANAGERS:
            found[prefix].append(_package(rest.strip()))
        elif isinstance(language, Unknown):
            return UNKNOWN
        else:
            found[_manager(language, str(item))].append(_package(item))
    return {manager: _unique(names) for manager, names in found.items()}


def _by_manager(value: dict[str, Value]) -> Value:
    for manager in value:
        if manager not in MANAGERS:
            raise InvalidValue(f"a mapping with the keys {', '.join(MANAGERS)}, not {shown(manager)}")
    lists = {manager: spread(value.get(manager)) for manager in MANAGERS}
    found: dict[str, Value] = {}
    for manager, names in lists.items():
        with within(manager):
            found[manager] = _names(names)
    return found


def _names(value: Value) -> Value:
    if value is None:
        return []
    if isinstance(value, Unknown):
        return UNKNOWN
    found: list[Value] = []
    for index, item in enumerate(sequence(value)):
        with within(index):
            found.append(inside(item, _package))
    return _unique(found)


def _manager(language: Value, name: str) -> str:
    manager = MANAGER_OF_LANGUAGE.get(language) if isinstance(language, str) else None
    if manager is None:
        raise InvalidValue(
            f"written with a prefix where nobody knows the template's language: {shown(name)} could be anything",
            code="ambiguous-package",
            hint=f"write pip:{name}, npm:{name} or apt:{name}, or use lists under pip:, npm: and apt:",
        )
    return manager


def _package(value: Value) -> str:
    name = line(value).strip()
    if not name or name.startswith("-"):
        raise InvalidValue(
            f"the name of a package, not {shown(name)}",
            hint="use run_commands for anything that is not just a package",
        )
    return name


def _unique(names: list[Value]) -> Value:
    """Sorted where all of it can be compared: the order in which packages are written means nothing."""
    if all(isinstance(name, str) for name in names):
        return [*sorted({str(name) for name in names})]
    return [name for index, name in enumerate(names) if name not in names[:index]]


def package_name(manager: str, requirement: str) -> str:
    """The name without version, extras and markers: what an uninstall needs, and what tells a version change apart."""
    match manager:
        case "npm":
            return requirement[:1] + requirement[1:].split("@", 1)[0]  # the first @ is a scope's
        case "pip":
            name = re.split(r"[\[<>=!~;@ ]", requirement, maxsplit=1)[0]
            return re.sub(r"[-_.]+", "-", name).lower()
        case _:
            return re.split(r"[=/]", requirement, maxsplit=1)[0]


def packages_from(value: Value) -> PackageSet:
    """The typed form of a known, normalised value."""
    lists = mapping(value)
    names = {manager: tuple(str(item) for item in sequence(lists.get(manager, []))) for manager in MANAGERS}
    return PackageSet(**names, pins=pins_from(lists))


def pins_from(packages: Mapping[str, Value]) -> dict[str, Pins]:
    """The lock file's versions in known, normalised packages, by manager; none where nothing is locked."""
    lock = packages.get(LOCK)
    found = {manager: mapping(item) for manager, item in (mapping(lock) if lock else {}).items()}
    return {
        manager: Pins(_texts(item.get("added")), _texts(item.get("base")), str(item.get("file", "")))
        for manager, item in found.items()
    }


def pins_to_value(pins: Mapping[str, Pins]) -> Value:
    """Inverse of :func:`pins_from`."""
    return {
        manager: {"added": [*item.added], "base": [*item.base], **({"file": item.file} if item.file else {})}
        for manager, item in pins.items()
    }


def installed_names(packages: Mapping[str, Value], manager: str) -> tuple[str, ...]:
    """What the manager is to have installed: in the versions of the lock file, where there is one."""
    pins = pins_from(packages).get(manager)
    return _texts(packages.get(manager)) if pins is None else pins.all


def _texts(value: Value) -> tuple[str, ...]:
    """Texts of a list; secrets among them are left out."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
