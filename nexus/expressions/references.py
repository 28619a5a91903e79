"""Finds in the text of one expression, without running it, what it refers to and what it calls.

Strings, variables of comprehensions (``list.map(x, …)``), fields of objects and names of functions are not references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from nexus.expressions.functions import CEL_FUNCTIONS, FUNCTIONS
from nexus.expressions.lexer import Token, TokenKind, tokenise
from nexus.expressions.library import cel
from nexus.model.addresses import KINDS, NAME, Address
from nexus.model.expressions import ANY_KEY, Reference
from nexus.model.suggestions import did_you_mean

ROOTS: Final = ("vars", "secrets", "env", "each", "self", *KINDS)
_LITERALS: Final = frozenset({"true", "false", "null", "in"})
_MACROS: Final = frozenset({"map", "filter", "all", "exists", "exists_one"})
_PLAIN_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME: Final = re.compile(NAME)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at ``offset`` of the text; ``source`` is the expression in it, where one was found."""

    message: str
    offset: int
    hint: str = ""
    source: str = ""


@dataclass(slots=True)
class Analysis:
    """``program`` is the text in plain CEL; the rest what was found in it."""

    program: str = ""
    references: list[Reference] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bare: bool = False


def analyse(text: str) -> Analysis:
    """Raises LexError when ``text`` can't be split into words."""
    return _Scanner(text).run()


def literal(token: Token) -> str | int | None:
    """The value of a string or whole-number token, None for any other."""
    if token.kind is TokenKind.STRING:
        if token.text[0] in "\"'" and "\\" not in token.text and token.text[:3] not in ('"""', "'''"):
            return token.text[1:-1]
        value = cel.compile(token.text).execute({})
        return value if isinstance(value, str) else None
    if token.kind is TokenKind.NUMBER and token.text.isdigit():
        return int(token.text)
    return None


_ELSEWHERE: Final = {
    "count": "the number of an instance is «each.value»",
    "matrix": "the values of an instance are «each.value»",
    "inputs": "did you mean «vars»?",
    "local": "did you mean «vars»?",
    "locals": "did you mean «vars»?",
    "params": "did you mean «vars»?",
    "values": "did you mean «vars»?",
    "github": "what GitHub sets is in the environment, as in env.GITHUB_SHA",
}
"""Roots that other tools have, and what stands for them here."""


class _Scanner:
    """One pass from left to right; ``scopes`` holds, per open bracket, the variables bound inside it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(tokenise(text))
        self.found = Analysis()
        self.scopes: list[frozenset[str]] = [frozenset()]
        self.rewrites: list[tuple[int, int, str]] = []

    def run(self) -> Analysis:
        position = 0
        while position < len(self.tokens):
            position = self._step(position)
        self.found.program = self._rewritten()
        self.found.functions = list(dict.fromkeys(self.found.functions))
        return self.found

    def _step(self, position: int) -> int:
        token = self.tokens[position]
        if token.text in ("(", "[", "{") and token.kind is TokenKind.SIGN:
            return self._open(position)
        if token.text in (")", "]", "}") and token.kind is TokenKind.SIGN:
            if len(self.scopes) > 1:
                self.scopes.pop()
            return position + 1
        if token.kind is not TokenKind.WORD:
            return position + 1
        if self._sign(position + 1) == "(":
            self._call(token)
            return position + 1
        if self._sign(position - 1) == "." or token.text in _LITERALS or token.text in self.scopes[-1]:
            return position + 1
        if token.text in ROOTS:
            return self._reference(position)
        self._unknown_name(position)
        return position + 1

    def _open(self, position: int) -> int:
        bound = self.scopes[-1]
        variable = self._token(position + 1)
        is_macro = self._sign(position - 2) == "." and self._text(position - 1) in _MACROS
        if self._text(position) == "(" and is_macro and variable is not None and self._sign(position + 2) == ",":
            if variable.text in ROOTS:
                self._problem(f"«{variable.text}» can't name the variable of a comprehension", variable.start)
            self.scopes.append(bound | {variable.text})
            return position + 3
        self.scopes.append(bound)
        return position + 1

    def _call(self, token: Token) -> None:
        self.found.functions.append(token.text)
        if token.text not in FUNCTIONS and token.text not in CEL_FUNCTIONS:
            known = did_you_mean(token.text, [*FUNCTIONS, *CEL_FUNCTIONS])
            self._problem(f"there is no function «{token.text}»", token.start, known)

    def _unknown_name(self, position: int) -> None:
        token = self.tokens[position]
        hint = _ELSEWHERE.get(token.text) or did_you_mean(token.text, ROOTS)
        before = self._token(position - 1)
        if before is not None and before.text == "-" and before.end == token.start:
            name = f"{self._text(position - 2)}-{token.text}"
            hint = f'a name with a hyphen is written in brackets, as in ["{name}"]; a minus wants spaces'
        elif self._sign(position + 1) == ":" or self._sign(position - 1) in ("{", "=="):
            hint = f"a text wants quotes: '{token.text}'"
        self._problem(f"«{token.text}» is not known here", token.start, hint)

    def _reference(self, start: int) -> int:
        root = self.tokens[start].text
        position = start + 1
        address: Address | None = None
        dynamic: str | None = None
        resume: int | None = None  # where scanning goes on when a key is an expression of its own
        if root in KINDS:
            named = self._resource(start)
            if named is None:
                return position
            address, position = named
            if self._sign(position) == "[":
                key = self._literal_index(position)
                if key is not None:
                    self._quote_number(position + 1, key)
                    address = Address(address.kind, address.name, str(key))
                    position += 3
                else:
                    end = self._closing(position)
                    if end is None:
                        return position
                    dynamic, resume = self._dynamic_key(position, end), position
                    position = end + 1
        path, position = self._path(position)
        self._check_roots(root, path, self.tokens[start])
        self.found.references.append(Reference(root, tuple(path), address, dynamic))
        self.found.bare |= start == 0 and position == len(self.tokens) and dynamic != ANY_KEY
        return position if resume is None else resume

    def _resource(self, start: int) -> tuple[Address, int] | None:
        """The block that is named after the kind word at ``start``, and where its name ends."""
        kind = self.tokens[start].text
        names: list[str] = []
        position = start + 1
        for _ in range(2 if kind == "step" else 1):
            token = self._token(position + 1)
            if self._sign(position) == "." and token is not None and token.kind is TokenKind.NAME:
                if not _PLAIN_WORD.fullmatch(token.text) or token.text in _LITERALS:
                    self.rewrites.append((self.tokens[position].start, token.end, f'["{token.text}"]'))
                names.append(token.text)
                position += 2
            elif isinstance(name := self._literal_index(position), str) and _NAME.fullmatch(name):
                names.append(name)
                position += 3
            else:
                form = "step.pipeline.name" if kind == "step" else f"{kind}.name"
                self._problem(f"«{kind}» stands for no value; {form} does", self.tokens[start].start)
                return None
        return Address(kind, ".".join(names)), position

    def _path(self, position: int) -> tuple[list[str | int], int]:
        path: list[str | int] = []
        while True:
            if self._sign(position) == ".":
                token = self._token(position + 1)
                if token is None or token.kind is not TokenKind.WORD or self._sign(position + 2) == "(":
                    return path, position
                if token.text in _LITERALS:
                    self.rewrites.append((self.tokens[position].start, token.end, f'["{token.text}"]'))
                path.append(token.text)
                position += 2
            elif (key := self._literal_index(position)) is not None:
                path.append(key)
                position += 3
            else:
                return path, position

    def _literal_index(self, position: int) -> str | int | None:
        token = self._token(position + 1)
        if token is None or self._sign(position) != "[" or self._sign(position + 2) != "]":
            return None
        return literal(token)

    def _quote_number(self, position: int, key: str | int) -> None:
        if isinstance(key, int):  # keys of instances are always strings
            token = self.tokens[position]
            self.rewrites.append((token.start, token.end, f'"{key}"'))

    def _dynamic_key(self, opening: int, closing: int) -> str:
        inside = self.tokens[opening + 1 : closing]
        if any(token.kind is TokenKind.WORD and token.text in self.scopes[-1] for token in inside):
            return ANY_KEY
        return self.text[self.tokens[opening].end : self.tokens[closing].start].strip() or ANY_KEY

    def _closing(self, opening: int) -> int | None:
        depth = 0
        for position in range(opening, len(self.tokens)):
            sign = self._sign(position)
            depth += (sign in ("(", "[", "{")) - (sign in (")", "]", "}"))
            if depth == 0:
                return position
        return None

    def _check_roots(self, root: str, path: list[str | int], token: Token) -> None:
        if root in ("secrets", "env") and not path:
            self._problem(f"«{root}» stands for no value; {root}.NAME does", token.start)
        if root == "each" and (not path or path[0] not in ("key", "value")):
            self._problem("«each» has a key and a value: each.key, each.value", token.start)

    def _rewritten(self) -> str:
        text = self.text
        for start, end, new in sorted(self.rewrites, reverse=True):
            text = text[:start] + new + text[end:]
        return text.strip()

    def _problem(self, message: str, offset: int, hint: str = "") -> None:
        self.found.problems.append(Problem(message, offset, hint))

    def _token(self, position: int) -> Token | None:
        return self.tokens[position] if 0 <= position < len(self.tokens) else None

    def _text(self, position: int) -> str:
        token = self._token(position)
        return "" if token is None else token.text

    def _sign(self, position: int) -> str:
        token = self._token(position)
        return token.text if token is not None and token.kind is TokenKind.SIGN else ""


def roots_of(references: Iterable[Reference]) -> frozenset[str]:
    return frozenset(reference.root for reference in references)
