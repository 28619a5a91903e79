"""What every source of a project's files offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nexus.model.state import Commit


@dataclass(frozen=True, slots=True)
class Revision:
    """A project's files at one moment: ``manifest`` is the root file. ``id`` differs when any of them differs.

    ``title`` says in a line what it is, where somebody has said so. ``commit`` is Git's, for the history of what was
    applied; None where a folder's repository tells it. ``is_settling``: they are just being changed, and nothing should
    be made of them.
    """

    id: str
    manifest: Path
    title: str = ""
    commit: Commit | None = None
    is_settling: bool = False


class Source(Protocol):
    """A project's files, wherever they are kept."""

    @property
    def pause(self) -> float | None:
        """Seconds between two looks; None leaves it to the environments' interval."""

    async def refresh(self) -> Revision:
        """The files as they are now. Raises DiagnosticsError when they can't be had; what was there before stays."""
