"""Domain names as network rules write them: exact ones, and one leading wildcard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LOCALHOST: Final = "localhost"


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """A set of patterns. ``*.example.com`` is every name below ``example.com``, ``*`` every name."""

    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()

    @classmethod
    def compile(cls, patterns: Iterable[str]) -> NamePatterns:
        names: set[str] = set()
        suffixes: list[str] = []
        for pattern in patterns:
            if pattern == "*":
                suffixes.append("")
            elif pattern.startswith("*."):
                suffixes.append(normal(pattern[1:]))
            else:
                names.add(normal(pattern))
        return cls(frozenset(names), tuple(suffixes))

    def __bool__(self) -> bool:
        return bool(self.names or self.suffixes)

    def match_below(self, domain: str) -> bool:
        """Whether they match ``domain`` itself, or any name below it."""
        suffix = f".{domain}"
        return (
            self.match(domain)
            or any(name.endswith(suffix) for name in self.names)
            or any(known.endswith(suffix) or suffix.endswith(known) for known in self.suffixes)
        )

    def match(self, name: str) -> bool:
        name = normal(name)
        return name in self.names or any(name.endswith(suffix) for suffix in self.suffixes)


def is_localhost(name: str) -> bool:
    """Whether a name means loopback, everywhere and whoever is asked."""
    name = normal(name)
    return name == LOCALHOST or name.endswith(f".{LOCALHOST}")


def normal(name: str) -> str:
    """Names are compared in lower case, without the dot of the root."""
    return name.rstrip(".").lower()
