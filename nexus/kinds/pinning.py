"""What the lock file pins of a block's packages: put beside them, so that they are installed in exactly these versions.

The normal form of packages then has one key more: ``lock``, by manager the versions to install (``added``), those that
the template has to have (``base``), and for npm the digest of its own lock files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from nexus.kinds.block import Block
from nexus.kinds.packages import LOCK, MANAGERS, Pins, pins_to_value
from nexus.kinds.reading import sequence
from nexus.model.addresses import Address
from nexus.model.lockfile import Closure, LockedSet, Requirements
from nexus.model.values import UNKNOWN, Value, has_sensitive, is_wholly_known, to_json

_LOCK_MODE: Final = 0o644


def pinned(block: Block, packages: Value, base: str) -> Value:
    """``packages`` with what the lock file has for them on ``base``; a finding where it has nothing."""
    lock = block.context.lock
    if lock is None or not isinstance(packages, dict) or not any(packages.values()):
        return packages
    if not is_wholly_known(packages):
        return UNKNOWN
    if has_sensitive(packages):
        block.warn(
            "packages",
            "not-lockable",
            "Packages with a secret in their names are not locked",
            hint="give the secret to the installer as a variable, such as PIP_INDEX_URL",
        )
        return packages
    asked = lock_block(block.context.spec.address), base, requirements_of(packages)
    found = lock.find(*asked)
    if found is None:
        if refusal := lock.refusal(*asked):
            _refuse(block, refusal)
        return packages
    return {**packages, LOCK: _pins(block, found)}


def lock_block(address: Address) -> str:
    """The name of a block in the lock file; a shared setup does the work of its sandboxes."""
    return str(Address("sandbox", address.name) if address.kind == "setup" else address.group)


def requirements_of(packages: Mapping[str, Value]) -> Requirements:
    """What known, normalised packages ask for."""
    names = {manager: tuple(str(name) for name in sequence(packages.get(manager, []))) for manager in MANAGERS}
    return {manager: tuple(sorted(found)) for manager, found in names.items() if found}


def npm_locks(closure: Closure) -> str:
    """For each global package the package-lock.json that makes npm install exactly the closure, as one text."""
    head = {"name": "nexus", "lockfileVersion": 3, "requires": True}
    return json.dumps({name: {**head, "packages": to_json(found)} for name, found in sorted(closure.files.items())})


def _pins(block: Block, found: LockedSet) -> Value:
    pins: dict[str, Pins] = {}
    for manager, closure in found.closures.items():
        file = ""
        if closure.files:
            file, tree = block.context.files.inline(npm_locks(closure), _LOCK_MODE)
            block.context.trees[file] = tree
        pins[manager] = Pins(_exact(manager, closure.added), _exact(manager, closure.base), file)
    return pins_to_value(pins)


def _exact(manager: str, versions: Mapping[str, str]) -> tuple[str, ...]:
    """Names with versions, as the manager wants them written."""
    sign = {"apt": "=", "pip": "==", "npm": "@"}[manager]
    return tuple(
        f"{name} {version}" if version.startswith("@") else f"{name}{sign}{version}"
        for name, version in sorted(versions.items())
    )


def _refuse(block: Block, why: str) -> None:
    block.fail(
        "packages",
        "lock-stale",
        "The lock file does not have these packages",
        detail=why,
        hint="run «nexus lock», and look at what it changes",
    )
