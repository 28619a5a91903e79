"""What a plan opens, one line for each thing and all that get it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nexus.model.addresses import Address
from nexus.model.changes import Opening, Opens
from nexus.render.bundles import alike, title

Json = dict[str, object]

_MOST_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class Opened:
    """One thing, and the resources that it is the same for."""

    opens: Opens
    detail: str
    addresses: Sequence[Address]

    @property
    def named(self) -> str:
        """The addresses, instances of a block as one, and shortened."""
        groups = list(alike(dict.fromkeys(self.addresses)))
        shown = ", ".join(map(title, groups[:_MOST_NAMED]))
        more = sum(map(len, groups[_MOST_NAMED:]))
        return f"{shown} and {more} more" if more > 0 else shown


def openings_to_json(openings: Iterable[Opening]) -> list[Json]:
    return [
        {
            "address": str(item.address),
            "opens": item.opens.value,
            "detail": item.detail,
            "source": None
            if item.source is None
            else {
                "file": item.source.file,
                "line": item.source.start.line,
                "column": item.source.start.column,
            },
        }
        for item in openings
    ]


def bundled(openings: Iterable[Opening]) -> Iterator[Opened]:
    """By what is opened, in the order of :class:`Opens`."""
    groups: dict[tuple[Opens, str], list[Address]] = {}
    for item in openings:
        groups.setdefault((item.opens, item.detail), []).append(item.address)
    order = list(Opens)
    for (opens, detail), addresses in sorted(groups.items(), key=lambda item: order.index(item[0][0])):
        yield Opened(opens, detail, addresses)
