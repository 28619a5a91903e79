"""Splits the text of one expression into words, strings, numbers and signs.

CEL itself is parsed by the library. This lexer exists for what the library can't tell: where an expression ends inside
a string of the manifest, which names it uses, and that a resource's name may hold hyphens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from nexus.model.addresses import KINDS, NAME


class TokenKind(Enum):
    WORD = auto()
    NAME = auto()  # a resource's name directly after its kind word: may hold hyphens
    NUMBER = auto()
    STRING = auto()
    SIGN = auto()


class Token(NamedTuple):
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


_NAME: Final = re.compile(NAME)
_TOKEN: Final = re.compile(
    r"""(?P<space>(?:\s+|//(?:(?!}})[^\n])*)+)
    |(?P<string>
        [rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
        |(?:[rR][bB]?|[bB][rR]?)?
         (?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    |(?P<open>[rRbB]{0,2}["'])
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])""",
    re.DOTALL | re.VERBOSE,
)
_KINDS: Final = {
    "word": TokenKind.WORD,
    "number": TokenKind.NUMBER,
    "string": TokenKind.STRING,
    "sign": TokenKind.SIGN,
}


def tokenise(text: str, start: int = 0) -> Iterator[Token]:
    """Tokens of ``text`` from ``start`` on, without spaces and comments. Raises LexError at what fits nothing."""
    position = start
    names_due = 0  # how many resource names may still follow: one after a kind word, two after «step»
    previous = ""
    while position < len(text):
        match = _NAME.match(text, position) if names_due > 0 and previous == "." else None
        if match is not None:
            token = Token(TokenKind.NAME, match.group(), position)
        else:
            match = _TOKEN.match(text, position)
            if match is None:
                raise LexError(f"{text[position]!r} has no meaning in an expression", position)
            if match.lastgroup == "space":
                position = match.end()
                continue
            kind = _KINDS.get(str(match.lastgroup))
            if kind is None:
                raise LexError("this string is not closed", position)
            token = Token(kind, match.group(), position)
        yield token
        position = match.end()
        names_due = _names_due(token, previous, names_due)
        previous = token.text


def _names_due(token: Token, previous: str, due: int) -> int:
    if token.kind is TokenKind.WORD and token.text in KINDS and previous != ".":
        return 2 if token.text == "step" else 1
    if token.text == ".":
        return due
    return due - 1 if token.kind is TokenKind.NAME else 0
