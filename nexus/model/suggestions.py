"""«Did you mean …»: the nearest known name to one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_FEW: Final = 24
"""So many names are all told where none is near."""


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name that looks most like ``name``, or None when none does: 1 is the same, 0 has nothing of it."""
    candidates = [str(candidate) for candidate in known]
    folded = {candidate.lower().replace("_", "-"): candidate for candidate in candidates}
    same = folded.get(name.lower().replace("_", "-"))
    if same is not None:
        return same
    found = get_close_matches(name, candidates, n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a message: the nearest name, else the known names when they are few, else nothing."""
    candidates = sorted(set(map(str, known)))
    match = nearest(name, candidates)
    if match is not None:
        return f"did you mean «{match}»?"
    if 0 < len(candidates) <= _FEW:
        return f"known names: {', '.join(candidates)}"
    return ""
