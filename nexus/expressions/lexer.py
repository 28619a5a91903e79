"""Splits the text of one expression into words, strings, numbers and signs.

CEL itself is parsed by the library. This lexer exists for what the library can't tell: where an expression ends inside
a string of the manifest, which names it uses, and that a resource's name may hold hyphens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from nexus.model.addresses import KINDS, NAME


class TokenKind(Enum):
    WORD = auto()
    NAME = auto()  # a resource's name directly after its kind word: may hold hyphens
    NUMBER = auto()
    STRING = auto()
    SIGN = auto()


@dataclass(frozen=True, slots=True)
class Token:
    kind: TokenKind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class LexError(ValueError):
    """The text can't be split; ``offset`` is where."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


_SPACE: Final = re.compile(r"\s+|//(?:(?!}})[^\n])*")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME: Final = re.compile(NAME)
_SIGN: Final = re.compile(r"&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}]")
_STRING: Final = re.compile(
    r"(?P<prefix>[rR][bB]?|[bB][rR]?)?(?:"
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\')',
    re.DOTALL,
)
_RAW_STRING: Final = re.compile(r"[rR](?:\"\"\".*?\"\"\"|'''.*?'''|\"[^\"\n]*\"|'[^'\n]*')", re.DOTALL)
_QUOTE: Final = re.compile(r"[rRbB]{0,2}[\"']")


def tokenise(text: str, start: int = 0) -> Iterator[Token]:
    """Tokens of ``text`` from ``start`` on, without spaces and comments. Raises LexError at what fits nothing."""
    position = start
    names_due = 0  # how many resource names may still follow: one after a kind word, two after «step»
    previous = ""
    while True:
        while space := _SPACE.match(text, position):
            position = space.end()
        if position >= len(text):
            return
        token = _next(text, position, hyphens=names_due > 0 and previous == ".")
        yield token
        position = token.end
        names_due = _names_due(token, previous, names_due)
        previous = token.text


def _names_due(token: Token, previous: str, due: int) -> int:
    if token.kind is TokenKind.WORD and token.text in KINDS and previous != ".":
        return 2 if token.text == "step" else 1
    if token.text == ".":
        return due
    return due - 1 if token.kind is TokenKind.NAME else 0


def _next(text: str, position: int, *, hyphens: bool) -> Token:
    if hyphens and (match := _NAME.match(text, position)):
        return Token(TokenKind.NAME, match.group(), position)
    if _QUOTE.match(text, position):
        match = _RAW_STRING.match(text, position) or _STRING.match(text, position)
        if match is None:
            raise LexError("this string is not closed", position)
        return Token(TokenKind.STRING, match.group(), position)
    for kind, pattern in ((TokenKind.WORD, _WORD), (TokenKind.NUMBER, _NUMBER), (TokenKind.SIGN, _SIGN)):
        if match := pattern.match(text, position):
            return Token(kind, match.group(), position)
    raise LexError(f"{text[position]!r} has no meaning in an expression", position)
