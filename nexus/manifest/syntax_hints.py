"""What is usually meant where a file is no YAML: the parser's words say what it saw, these what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_NO_SPACE: Final = re.compile(r"\s*(?:- )?[\w.-]+:[^\s:/]")
"""A key whose value follows without a space; no URL."""

_EXPRESSION: Final = "${{"
_QUOTES: Final = '"${{ … }}"'


def syntax_hint(message: str, lines: Sequence[str], number: int) -> str:
    """What to do about the parser's ``message`` about line ``number``; "" where it says enough."""
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    before = next((text for text in reversed(lines[: number - 1]) if text.strip()), "")
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent by spaces: YAML takes no tabs"
    if "mapping values are not allowed" in message:
        if _NO_SPACE.match(before):
            return f"a colon wants a space after it: {_spaced(before)}"
        return "a text that has a colon and a space in it wants quotes, or a block: «key: |» and the text below it"
    if _EXPRESSION in line and ("expected ','" in message or "block end" in message or "expected key" in message):
        return f"an expression within braces or brackets wants quotes: {_QUOTES}"
    if "cannot start any token" in message:
        return "a text that begins with such a sign wants quotes"
    if "could not find expected ':'" in message:
        return "a key wants a colon and a space after it"
    if "block end" in message or "expected key" in message:
        return "keys of one mapping, and dashes of one list, begin in the same column"
    if "end of stream" in message or "unexpected end" in message:
        return "a quote or a bracket that was opened before is not closed"
    return ""


def _spaced(line: str) -> str:
    key, _, value = line.strip().partition(":")
    return f"{key}: {value}"
