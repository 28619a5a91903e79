"""What belongs to the machine, and to no project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nexus import wiring
from nexus.api.given import process_or_own


def home(process: Mapping[str, str] | None = None) -> Path:
    """Where the local engine, its sandboxes, caches and logs live. ``process`` stands for the process environment."""
    return wiring.home(process_or_own(process))
