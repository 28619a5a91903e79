"""The isolation that the user of a home asked for, kept so that a daemon that starts by itself asks for the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nexus.local.documents import read_document, remove_document, write_document
from nexus.local.isolation import tiers
from nexus.local.settings import TIER_VARIABLE, SettingsError

AUTOMATIC = "auto"
"""Stands for the best that isolates, and takes an earlier choice back."""


def choose(home: Path, name: str) -> None:
    """Remember a tier by name, or :data:`AUTOMATIC`. Raises SettingsError for a name that is no tier, OSError."""
    if name == AUTOMATIC:
        remove_document(_file(home))
        return
    write_document(_file(home), {"format": 1, "tier": _known(name)})


def chosen(home: Path, environment: Mapping[str, str]) -> str | None:
    """What was asked for: by the variable, else by an earlier start. None for the best. Raises SettingsError."""
    if name := environment.get(TIER_VARIABLE):
        return None if name == AUTOMATIC else _known(name)
    try:
        document = read_document(_file(home))
    except ValueError as error:
        raise SettingsError(f"{error}; «nexus local start --isolation auto» makes it anew") from error
    return None if document is None else _known(str(document.get("tier")))


def _known(name: str) -> str:
    try:
        return tiers.by_name(name).name
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _file(home: Path) -> Path:
    return home / "isolation.json"
