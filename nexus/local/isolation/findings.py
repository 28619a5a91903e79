"""What the doctor says: one line per thing looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor. ``remedy`` is a command or a sentence that mends it; None when nothing needs mending."""

    name: str
    title: str
    ok: bool
    detail: str = ""
    remedy: str | None = None
