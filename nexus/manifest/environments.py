"""Which environments a project declares, and which of them, or which branch of one, a name means."""

from __future__ import annotations

from collections.abc import Iterable

from nexus.manifest.loading import Manifest
from nexus.manifest.overlays import overlay_name
from nexus.manifest.variables import DEFAULT_ENVIRONMENT
from nexus.model.environments import Environment


def declared_environments(manifest: Manifest) -> tuple[str, ...]:
    """Those that the section ``environments`` names, and those that have a file of their own; sorted, default first."""
    names = {*manifest.section("environments"), *overlay_files(manifest)} - {DEFAULT_ENVIRONMENT}
    return (DEFAULT_ENVIRONMENT, *sorted(names))


def environment_called(name: str, known: Iterable[str]) -> Environment:
    """The environment that has this name: one of the ``known``, a branch of one, or one that nobody declares."""
    bases = [base for base in known if name.startswith(f"{base}-")]
    if name in known or not bases:
        return Environment(name)
    base = max(bases, key=len)
    return Environment(base, name.removeprefix(f"{base}-"))


def overlay_files(manifest: Manifest) -> dict[str, str]:
    """The files that lie over the manifest, each for one environment: their names by those of the environments."""
    if not manifest.files:  # it was made in memory
        return {}
    stem, dot, suffix = manifest.files[0].rpartition(".")
    found: dict[str, str] = {}
    for path in sorted(manifest.root.glob(f"{stem}.*{dot}{suffix}")):
        name = path.name.removeprefix(f"{stem}.").removesuffix(f"{dot}{suffix}")
        if overlay_name(manifest.files[0], name) == path.name:
            found[name] = path.name
    return found
