"""What a journal is made of: one entry before each effect, one after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from nexus.model.state import Intent, ResourceRecord, Tree


@dataclass(frozen=True, slots=True)
class Begin:
    """An effect is about to be made. ``operation`` is its id in the plan, for people who read the journal."""

    intent: Intent
    operation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The effect named ``key`` was made, or none was needed.

    ``record`` is what is out there now. ``removed`` is the uid of an incarnation that is no more. ``trees`` are the
    upload trees that the record names and that were not known before.
    """

    key: str
    record: ResourceRecord | None = None
    removed: str = ""
    trees: Mapping[str, Tree] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The effect named ``key`` failed. ``record`` and ``removed`` as in :class:`Done`: what is out there nevertheless.

    ``unresolved``: whether it was made is not known; its intent stays open for the next run.
    """

    key: str
    code: str
    summary: str
    record: ResourceRecord | None = None
    removed: str = ""
    unresolved: bool = False


Entry: TypeAlias = Begin | Done | Failed
