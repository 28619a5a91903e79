"""What a parsed string of the manifest is: data only. Parsing and evaluating live in the room `expressions`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from nexus.model.addresses import Address
from nexus.model.diagnostics import SourceRange
from nexus.model.values import Scalar

ANY_KEY: Final = "*"
"""``dynamic_key`` of a reference whose key changes while the expression runs: it may mean every instance."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A chain that starts at a root: ``vars.stage``, ``sandbox.web.urls.api``, ``each.key``.

    ``root`` is the first word (``vars``, ``secrets``, ``env``, ``each``, or a kind); ``path`` the known rest, as far as
    it is made of names and literal keys. For kinds, ``address`` names the block, or the instance when its key is a
    literal; ``dynamic_key`` is the source text of a key that is itself an expression, as in ``sandbox.w[each.key]``.
    """

    root: str
    path: tuple[str | int, ...]
    address: Address | None = None
    dynamic_key: str | None = None


@dataclass(frozen=True, slots=True)
class Interpolation:
    """One ``${{ … }}``: ``source`` as written, ``program`` in plain CEL (hyphenated names rewritten).

    ``functions`` are the names it calls. ``bare`` says that it is one reference and nothing else.
    """

    source: str
    program: str
    references: tuple[Reference, ...]
    functions: tuple[str, ...] = ()
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Expression:
    """A string with at least one interpolation. ``parts`` are literal texts and interpolations in order.

    A single interpolation and nothing else keeps the type of its value. ``range`` is where the string stands,
    ``places`` where each of its parts does, as far as that is known.
    """

    parts: tuple[str | Interpolation, ...]
    range: SourceRange | None = field(default=None, compare=False)
    places: tuple[SourceRange | None, ...] = field(default=(), compare=False)

    @property
    def references(self) -> tuple[Reference, ...]:
        if len(self.parts) == 1 and isinstance(self.parts[0], Interpolation):
            return self.parts[0].references
        return tuple(ref for part in self.parts if isinstance(part, Interpolation) for ref in part.references)

    def place_of(self, part: str | Interpolation) -> SourceRange | None:
        """Where a part stands; the string, when that is all that is known."""
        if len(self.places) == len(self.parts):
            return self.places[self.parts.index(part)] or self.range
        return self.range

    def using(self, reference: Reference) -> Interpolation | None:
        """The first part that holds ``reference``."""
        parts = (part for part in self.parts if isinstance(part, Interpolation))
        return next((part for part in parts if reference in part.references), None)

    @property
    def is_whole(self) -> bool:
        return len(self.parts) == 1

    @property
    def source(self) -> str:
        return "".join(part if isinstance(part, str) else f"${{{{ {part.source} }}}}" for part in self.parts)


Raw: TypeAlias = "Scalar | Expression | list[Raw] | dict[str, Raw]"
"""A value of the manifest before evaluation: JSON with expressions as leaves."""
