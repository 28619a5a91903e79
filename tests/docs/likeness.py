"""Whether what a page shows is what was printed, but for what differs from run to run: times, ids, ports, addresses."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

LEFT_OUT: Final = "…"
"""A line of its own in a page, for lines that it does not show."""

_VOLATILE: Final = (
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z| UTC)?", "TIME"),
    (r"\b\d{8}[T-]\d{6}Z?(-[0-9a-z]+)?\b", "TIME"),
    (r"\b\d{8}T\d{3,6}\b", "TIME"),
    (r"\b\d{4}-\d\d-\d\d\b", "TIME"),
    (r"\b\d\d:\d\d(:\d\d)?\b", "TIME"),
    (r"\b\d+ (second|minute|hour)s?\b", "LONG"),
    (r"\b(\d+(\.\d+)?(ms|s|m|h) ?)+\b", "LONG "),
    (r"LONG +\([^()]*LONG +\)", "LONG "),  # which parts took longest, told of what took long
    (r"\b\d+(\.\d+)? ?%", "SHARE"),
    (r"\b\d+(\.\d+)? ?([KMG]i?)?B\b", "SIZE"),
    (r"\b\d[\d,]* (file|process)(e?s)?\b", "SEVERAL"),
    (r"\$\d+\.\d+\b", "COST"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID"),
    (r"\b(?=[a-z]*\d)[a-z0-9]{19,22}\b", "ID"),
    (r"\b[a-z0-9]{8,20}…", "ID"),
    (r"\b[\w-]+@[\w.-]+\b", "WHO"),
    (r"\b(?=[a-f]*\d)[0-9a-f]{8,64}\b", "DIGEST"),
    (r"\b127\.\d+\.\d+\.\d+:\d+", "ADDRESS"),
    (r"\blocalhost:\d+", "ADDRESS"),
    (r"\b\d+\.\d+\.\d+\b", "VERSION"),
    (r" +", " "),
    (r"[─━╭╮╰╯│·]+", "-"),
)

_PARTS: Final = re.compile(r"(\s|\x1b\[\d*m)+([a-z_ ]+ LONG[ ,]*)+(\x1b\[\d*m|\s)*")
"""A line of its own for which parts took longest, where there is no room beside them."""


def alike(shown: str, printed: str) -> bool:
    """Whether ``shown`` is ``printed``. Lines may be in another order: what runs side by side ends as it likes."""
    wanted, there = Counter(_lines(shown)), Counter(_lines(printed))
    if wanted.pop(LEFT_OUT, 0):
        return wanted <= there
    return wanted == there


def _lines(text: str) -> list[str]:
    text = re.sub(r"\x1b\[[0-9;]*m", r" \g<0> ", text)
    for pattern, word in _VOLATILE:
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.splitlines() if line.strip() and not _PARTS.fullmatch(line)]
