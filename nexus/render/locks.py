"""What became of the lock file: versions that came, went or changed, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from rich.console import Console
from rich.text import Text

from nexus.model.diagnostics import Diagnostic
from nexus.model.lockfile import Lockfile
from nexus.model.values import Value
from nexus.render.documents import FORMAT_VERSION, Json, diagnostics_to_json

Versions = Mapping[tuple[str, str], str]
"""By manager and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChange:
    """One package of a block that is locked in another version than before; None where it is not locked."""

    block: str
    manager: str
    name: str
    before: str | None
    after: str | None


def print_locked(console: Console, before: Lockfile | None, after: Lockfile, *, written: bool) -> None:
    """The differences, and how much is locked now."""
    for block, changes in groupby(_changes(before or Lockfile(), after), key=lambda change: change.block):
        console.print(Text(block))
        for change in changes:
            console.print(Text("  ").append(_line(change)))
    blocks, packages = len(after.packages), _count(after)
    state = "written" if written else "up to date"
    count = f"{packages} {'package' if packages == 1 else 'packages'}"
    console.print(Text(f"nexus.lock is {state}: {count} of {blocks} {'block' if blocks == 1 else 'blocks'}."))


def locked_to_json(
    before: Lockfile | None, after: Lockfile, diagnostics: Sequence[Diagnostic], *, written: bool
) -> Json:
    """The document of ``nexus lock --json``."""
    return {
        "format_version": FORMAT_VERSION,
        "written": written,
        "blocks": len(after.packages),
        "packages": _count(after),
        "changes": [asdict(change) for change in _changes(before or Lockfile(), after)],
        "diagnostics": diagnostics_to_json(diagnostics),
    }


def _count(lock: Lockfile) -> int:
    return sum(len(_versions(lock, block)) for block in lock.packages)


def _changes(before: Lockfile, after: Lockfile) -> Iterator[VersionChange]:
    """Block by block."""
    for block in sorted({*before.packages, *after.packages}):
        old, new = _versions(before, block), _versions(after, block)
        for manager, name in sorted({*old, *new}):
            was, now = old.get((manager, name)), new.get((manager, name))
            if was != now:
                yield VersionChange(block=block, manager=manager, name=name, before=was, after=now)


def _line(change: VersionChange) -> Text:
    label = f"{change.manager} {change.name}"
    if change.before is None:
        return Text("+ ", style="create").append(f"{label} {change.after}", style="default")
    if change.after is None:
        return Text("- ", style="delete").append(f"{label} {change.before}", style="default")
    return Text("~ ", style="update").append(f"{label} {change.before} → {change.after}", style="default")


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
