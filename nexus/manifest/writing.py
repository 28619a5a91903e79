"""Values as YAML text: one line for a scalar, lines for a collection, as every reader of YAML understands them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from nexus.manifest.scalars import read_plain
from nexus.manifest.syntax import Style
from nexus.model.values import Value

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./~$(^+<=\\;][^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]*")
_OTHERS_READ_OTHERWISE: Final = re.compile(
    r"y|n|yes|no|on|off|~|null|true|false|<<|="  # words
    r"|[-+]?0[xob][0-9a-f_]+|[-+]?[\d_]*\.?[\d_]*(e[-+]?\d+)?|[-+]?\.(inf|nan)"  # numbers
    r"|[-+]?\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?|\d{4}-\d\d?-\d\d?.*",  # times
    re.IGNORECASE,
)
"""What YAML 1.1, which most tools still read, takes for something else than a text."""
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_UNPRINTABLE: Final = re.compile(r'[\\"\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]')


@dataclass(frozen=True, slots=True)
class Indentation:
    """How many columns a mapping, and the dashes of a list, stand to the right of the key that they belong to.

    ``blocks``: texts of several lines are written as such, with a bar.
    """

    step: int = 2
    dash: int = 2
    blocks: bool = True


def scalar_text(value: Value, *, flow: bool = False, style: Style = Style.PLAIN) -> str:
    """A scalar on one line, in the ``style`` asked for where that can hold it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return _text(value, flow=flow, style=style)
        case _:
            raise TypeError(f"not a scalar: {type(value).__name__}")


def flow_text(value: Value) -> str:
    """A value on one line, collections in brackets."""
    match value:
        case dict():
            inner = (f"{scalar_text(key, flow=True)}: {flow_text(item)}" for key, item in value.items())
            return "{" + ", ".join(inner) + "}"
        case list():
            return "[" + ", ".join(map(flow_text, value)) + "]"
        case _:
            return scalar_text(value, flow=True)


def entry_lines(key: str, value: Value, column: int, indentation: Indentation) -> list[str]:
    """The lines of ``key: value`` in a mapping whose keys stand at ``column``."""
    return _lines(f"{' ' * column}{scalar_text(key)}:", value, column, indentation)


def item_lines(value: Value, column: int, indentation: Indentation) -> list[str]:
    """The lines of one item, a scalar, of a list whose dashes stand at ``column``."""
    return _lines(f"{' ' * column}-", value, column, indentation)


def _lines(head: str, value: Value, column: int, indentation: Indentation) -> list[str]:
    match value:
        case dict() if value:
            inner = (entry_lines(key, item, column + indentation.step, indentation) for key, item in value.items())
            return [head, *(line for lines in inner for line in lines)]
        case list() if value:
            items = (item_lines(item, column + indentation.dash, indentation) for item in value)
            return [head, *(line for lines in items for line in lines)]
        case dict() | list():
            return [f"{head} {flow_text(value)}"]
        case str() if indentation.blocks and _suits_a_block(value):
            marker = "|" if value.endswith("\n") else "|-"
            pad = " " * (column + 2)
            return [
                f"{head} {marker}",
                *(f"{pad}{line}" if line else "" for line in value.removesuffix("\n").split("\n")),
            ]
        case _:
            return [f"{head} {scalar_text(value)}"]


def _suits_a_block(text: str) -> bool:
    """Whether it has several lines that a literal block shows as they are."""
    body = text.removesuffix("\n")
    return (
        "\n" in body
        and not body.endswith("\n")
        and not body.startswith((" ", "\n", "\t"))
        and all(line == line.rstrip() for line in body.split("\n"))
        and re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]", body) is None
    )


def _text(text: str, *, flow: bool, style: Style) -> str:
    if style is Style.SINGLE and not _UNPRINTABLE.search(text.replace('"', "").replace("\\", "")):
        return "'" + text.replace("'", "''") + "'"
    if style is Style.PLAIN and _is_plain(text, flow=flow):
        return text
    return '"' + _UNPRINTABLE.sub(_escaped, text) + '"'


def _is_plain(text: str, *, flow: bool) -> bool:
    """Whether it may be written without quotes, and is read as this very text everywhere."""
    return (
        _PLAIN.fullmatch(text) is not None
        and read_plain(text) == text
        and _OTHERS_READ_OTHERWISE.fullmatch(text) is None
        and ": " not in text
        and " #" not in text
        and "\t" not in text
        and not text.endswith((":", " "))
        and not (flow and re.search(r"[\[\]{},]|:$", text))
    )


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
