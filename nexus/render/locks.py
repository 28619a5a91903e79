"""What became of the lock file: versions that came, went or changed, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.text import Text

from nexus.model.lockfile import Lockfile
from nexus.model.values import Value

Versions = Mapping[tuple[str, str], str]
"""By manager and name."""


def print_locked(console: Console, before: Lockfile | None, after: Lockfile, *, written: bool) -> None:
    """The differences, and how much is locked now."""
    former = before or Lockfile()
    for block in sorted({*former.packages, *after.packages}):
        lines = list(_changes(_versions(former, block), _versions(after, block)))
        if lines:
            console.print(Text(block))
            for line in lines:
                console.print(Text("  ").append(line))
    blocks, packages = len(after.packages), sum(len(_versions(after, block)) for block in after.packages)
    state = "written" if written else "up to date"
    count = f"{packages} {'package' if packages == 1 else 'packages'}"
    console.print(Text(f"nexus.lock is {state}: {count} of {blocks} {'block' if blocks == 1 else 'blocks'}."))


def _changes(before: Versions, after: Versions) -> Iterator[Text]:
    for manager, name in sorted({*before, *after}):
        old, new = before.get((manager, name)), after.get((manager, name))
        label = f"{manager} {name}"
        match old, new:
            case None, str():
                yield Text("+ ", style="create").append(f"{label} {new}", style="default")
            case str(), None:
                yield Text("- ", style="delete").append(f"{label} {old}", style="default")
            case _ if old != new:
                yield Text("~ ", style="update").append(f"{label} {old} → {new}", style="default")


def _inside(name: str, packages: Value) -> Iterator[tuple[str, str]]:
    """What a global package of npm brings, under names that tell it from what others bring."""
    for path, package in packages.items() if isinstance(packages, dict) else ():
        if path not in ("", f"node_modules/{name}") and isinstance(package, dict):
            yield f"{name} / {path.removeprefix('node_modules/')}", str(package.get("version", ""))


def _versions(lock: Lockfile, block: str) -> dict[tuple[str, str], str]:
    """What is installed because the block asks for it."""
    found: dict[tuple[str, str], str] = {}
    for item in lock.packages.get(block, ()):
        for manager, closure in item.closures.items():
            found.update(((manager, name), version) for name, version in closure.added.items())
            for name, packages in closure.files.items():
                found.update(((manager, path), version) for path, version in _inside(name, packages))
    return found
