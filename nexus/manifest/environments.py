"""Names of environments: those that a project declares, and the branches of them that people make."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from nexus.manifest.loading import Manifest
from nexus.manifest.overlays import overlay_name
from nexus.manifest.variables import DEFAULT_ENVIRONMENT

_LONGEST: Final = 40
_DIGEST: Final = 6


@dataclass(frozen=True, slots=True)
class Environment:
    """``base`` gives the values and the overlay; a ``branch`` of it has objects and a state of its own."""

    base: str
    branch: str = ""

    @property
    def name(self) -> str:
        """What its objects and its state are called by."""
        return f"{self.base}-{self.branch}" if self.branch else self.base

    def __str__(self) -> str:
        return f"{self.base}/{self.branch}" if self.branch else self.base

    @classmethod
    def parse(cls, text: str) -> Environment:
        """``prod``, or ``preview/feature/login``: what follows the first slash is a branch, of Git for example."""
        base, _, branch = text.partition("/")
        return cls(base, _slug(branch))


def _slug(branch: str) -> str:
    """A name that objects may have. What does not survive as it is, is told apart by a digest."""
    if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", branch) and len(branch) <= _LONGEST:
        return branch
    slug = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")[: _LONGEST - _DIGEST - 1].strip("-")
    return f"{slug or 'branch'}-{hashlib.sha256(branch.encode()).hexdigest()[:_DIGEST]}" if branch else ""


def declared_environments(manifest: Manifest) -> tuple[str, ...]:
    """Those that the section ``environments`` names, and those that have a file of their own; sorted, default first."""
    names = {*manifest.section("environments"), *_with_overlay(manifest)} - {DEFAULT_ENVIRONMENT}
    return (DEFAULT_ENVIRONMENT, *sorted(names))


def environment_called(name: str, known: Iterable[str]) -> Environment:
    """The environment that has this name: one of the ``known``, a branch of one, or one that nobody declares."""
    bases = [base for base in known if name.startswith(f"{base}-")]
    if name in known or not bases:
        return Environment(name)
    base = max(bases, key=len)
    return Environment(base, name.removeprefix(f"{base}-"))


def _with_overlay(manifest: Manifest) -> Iterable[str]:
    if not manifest.files:  # it was made in memory
        return
    stem, dot, suffix = manifest.files[0].rpartition(".")
    for path in manifest.root.glob(f"{stem}.*{dot}{suffix}"):
        name = path.name.removeprefix(f"{stem}.").removesuffix(f"{dot}{suffix}")
        if overlay_name(manifest.files[0], name) == path.name:
            yield name
