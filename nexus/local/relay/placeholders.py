"""``${e2b.secrets.NAME}`` and ``${e2b.identity.tokens.NAME}`` in the headers of rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

_PLACEHOLDER: Final = re.compile(r"\$\{e2b\.(secrets|identity\.tokens)\.([^{}]+)\}")

SecretOf = Callable[[str], str]
TokenOf = Callable[[str], str]
"""The value of a secret, or a fresh identity token, by its name. Raise :class:`PlaceholderError` for an unknown one."""


class PlaceholderError(Exception):
    """A placeholder cannot be filled. The text names it and never holds a value."""


def fill(text: str, secret_of: SecretOf, token_of: TokenOf) -> str:
    """``text`` with every placeholder replaced. Raises :class:`PlaceholderError`."""

    def value(found: re.Match[str]) -> str:
        return secret_of(found[2]) if found[1] == "secrets" else token_of(found[2])

    return _PLACEHOLDER.sub(value, text)


def tokens_in(texts: Iterable[str]) -> set[str]:
    """The names of the identity tokens that ``texts`` ask for."""
    return {found[2] for text in texts for found in _PLACEHOLDER.finditer(text) if found[1] != "secrets"}
