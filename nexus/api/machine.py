"""What belongs to the machine, and to no project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nexus import wiring
from nexus.api.given import process_or_own


def home(process: Mapping[str, str] | None = None) -> Path:
    """Where the local engine, its sandboxes, caches and logs live. ``process`` stands for the process environment."""
    return wiring.home(process_or_own(process))


def engine_runs(process: Mapping[str, str] | None = None) -> bool:
    """Whether the local engine is up. Starts nothing, and asks it nothing."""
    return wiring.engine_runs(process_or_own(process))
