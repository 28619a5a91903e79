"""Plain scalars as YAML 1.2 reads them; whatever is not clearly something else stays the text that it looks like."""

from __future__ import annotations

import math
import re

from nexus.model.values import Scalar

_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
# Numbers with leading zeros (022) and those too long for exact arithmetic are texts: ids, modes, versions.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_OTHER_BASE = re.compile(r"0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?")
_NUMBER_STARTS = frozenset("0123456789+-.")


def read_plain(text: str) -> Scalar:
    """The value of an unquoted scalar: null, a boolean, a finite number, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit():
        number = float(text)
        return number if math.isfinite(number) else text
    return text
