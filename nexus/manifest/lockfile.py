"""nexus.lock: from its JSON text to what it pins, and back, always in the same order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from nexus.manifest.saving import save
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.lockfile import LOCK_VERSION, Closure, LockedEnvironment, LockedSet, Lockfile
from nexus.model.values import from_json, to_json

LOCK_NAME: Final = "nexus.lock"

Json: TypeAlias = Mapping[str, object]


def read_lock(root: Path) -> Lockfile | None:
    """The lock file of the project at ``root``; None where it has none. Raises DiagnosticsError for what is none."""
    try:
        return parse_lock((root / LOCK_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as problem:
        raise DiagnosticsError(error("lock-unreadable", f"{LOCK_NAME} can't be read", detail=str(problem))) from problem


def write_lock(root: Path, lock: Lockfile) -> bool:
    """Put it in its place, whole or not at all; whether that changed anything. Raises DiagnosticsError."""
    path, content = root / LOCK_NAME, format_lock(lock).encode()
    with suppress(OSError):
        if path.read_bytes() == content:
            return False
    save(path, LOCK_NAME, None, content)
    return True


def format_lock(lock: Lockfile) -> str:
    """One text for equal contents, with a line for each thing that can change."""
    document = {
        "version": LOCK_VERSION,
        "packages": {
            block: [_set_to_json(item) for item in sorted(sets, key=lambda item: (item.base, str(item.requirements)))]
            for block, sets in sorted(lock.packages.items())
        },
        "environments": {
            name: {"uploads": _sorted(found.uploads), "builds": _sorted(found.builds)}
            for name, found in sorted(lock.environments.items())
            if found.uploads or found.builds
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def parse_lock(text: str) -> Lockfile:
    """Inverse of :func:`format_lock`. Raises DiagnosticsError, also for the file of a newer nexus."""
    try:
        document = json.loads(text)
        if isinstance(document, dict) and isinstance(version := document.get("version"), int):
            if version > LOCK_VERSION:
                raise DiagnosticsError(_newer(version))
            return Lockfile(
                packages={
                    block: tuple(_set_from_json(_mapping(item)) for item in _list(sets))
                    for block, sets in _mapping(document.get("packages", {})).items()
                },
                environments={
                    name: _environment_from_json(_mapping(found))
                    for name, found in _mapping(document.get("environments", {})).items()
                },
            )
    except (ValueError, TypeError, KeyError):
        pass
    raise DiagnosticsError(
        error(
            "lock-unreadable",
            f"{LOCK_NAME} is not a lock file",
            detail="It may hold marks of a merge, or have been edited by hand.",
            hint="take the version of one side, then run «nexus lock»",
        )
    )


def _newer(version: int) -> Diagnostic:
    return error(
        "lock-newer",
        f"{LOCK_NAME} was written by a newer nexus",
        detail=f"It has version {version}; this nexus knows versions up to {LOCK_VERSION}.",
        hint="use the nexus that wrote it, or a newer one",
    )


def _set_to_json(item: LockedSet) -> Json:
    return {
        "environments": sorted(item.environments),
        "base": item.base,
        "requirements": {manager: list(names) for manager, names in sorted(item.requirements.items())},
        **{manager: _closure_to_json(found) for manager, found in sorted(item.closures.items())},
    }


def _closure_to_json(closure: Closure) -> Json:
    return {
        "added": _sorted(closure.added),
        "base": _sorted(closure.base),
        **({"files": _sorted(to_json(dict(closure.files)))} if closure.files else {}),
    }


def _set_from_json(data: Json) -> LockedSet:
    requirements = _mapping(data["requirements"])
    return LockedSet(
        base=str(data["base"]),
        environments=tuple(str(name) for name in _list(data["environments"])),
        requirements={manager: tuple(str(name) for name in _list(names)) for manager, names in requirements.items()},
        closures={manager: _closure_from_json(_mapping(data[manager])) for manager in requirements},
    )


def _closure_from_json(data: Json) -> Closure:
    return Closure(
        added=_texts(data["added"]),
        base=_texts(data["base"]),
        files={path: from_json(found) for path, found in _mapping(data.get("files", {})).items()},
    )


def _environment_from_json(data: Json) -> LockedEnvironment:
    uploads = _mapping(data.get("uploads", {}))
    return LockedEnvironment(
        uploads={address: _texts(paths) for address, paths in uploads.items()}, builds=_texts(data.get("builds", {}))
    )


def _sorted(data: object) -> object:
    match data:
        case Mapping():
            return {key: _sorted(data[key]) for key in sorted(data)}
        case list():
            return [_sorted(item) for item in data]
        case _:
            return data


def _texts(data: object) -> dict[str, str]:
    return {key: str(item) for key, item in _mapping(data).items()}


def _mapping(data: object) -> dict[str, object]:
    if not isinstance(data, dict):
        raise TypeError("not a mapping")
    return data


def _list(data: object) -> list[object]:
    if not isinstance(data, list):
        raise TypeError("not a list")
    return data
