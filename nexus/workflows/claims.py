"""Which live object is which resource: what rebuilding decides before it makes records.

Marks can't be changed, and forks bear those of their source. So the marks alone don't tell everything: the inside of a
sandbox may say that it is a fork, and the state, where there is one, knows what was renamed and what was imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from nexus.model.addresses import Address, address_now
from nexus.model.diagnostics import Diagnostic, warning
from nexus.model.state import ResourceRecord, State
from nexus.planning import taken_address
from nexus.providers.base import Live


@dataclass(frozen=True, slots=True)
class Claims:
    """``live`` objects by the address that each is, oldest first. ``copies`` are of no address, with their source."""

    live: dict[Address, list[Live]]
    copies: list[tuple[Live, str]] = field(default_factory=list)


def claims(
    live: Collection[Live], prior: State | None, moves: Mapping[Address, Address], wanted: Collection[Address]
) -> Claims:
    """``wanted`` are the addresses of the manifest."""
    known = _Known(prior, live)
    found = Claims({})
    for item in live:
        source = known.source_of(item)
        if source is not None:
            found.copies.append((item, source))
        else:
            found.live.setdefault(known.address_of(item, moves, wanted), []).append(item)
    return found


class _Known:
    """Which sandbox is meant by a uid: the one that the state knows, the one that says so, or the oldest one."""

    def __init__(self, prior: State | None, live: Iterable[Live]) -> None:
        records = () if prior is None else (*prior.deposed, *prior.resources.values())
        self._records: dict[str, ResourceRecord] = {item.id: item for item in records if item.address.kind == "sandbox"}
        self._id_of = {item.uid: item.id for item in self._records.values()}
        for item in live:
            if item.is_copy is False:
                self._id_of.setdefault(item.uid, item.id)

    def source_of(self, item: Live) -> str | None:
        """The id of the sandbox that this one is a fork of, "" where nobody knows it; None for what is no fork."""
        if item.address.kind != "sandbox" or item.id in self._records:
            return None
        first = self._id_of.get(item.uid, "")
        if item.is_copy or (first and first != item.id):
            return first
        if item.uid:
            self._id_of[item.uid] = item.id
        return None

    def address_of(self, item: Live, moves: Mapping[Address, Address], wanted: Collection[Address]) -> Address:
        """That of its marks, unless the state has it under another one that the manifest knows.

        What was taken from a pool is no member of it any more, whatever else is remembered.
        """
        record = self._records.get(item.id)
        if item.is_taken:
            return taken_address(address_now(item.address if record is None else record.address, moves).group, item.id)
        remembered = None if record is None else address_now(record.address, moves)
        if remembered is not None and remembered in wanted:
            return remembered
        return address_now(item.address, moves)


def copies_left_alone(copies: Iterable[tuple[Live, str]]) -> Iterable[Diagnostic]:
    """A warning for each sandbox with copies."""
    by_mark: dict[tuple[Address, str], list[str]] = {}
    for item, source in copies:
        by_mark.setdefault((item.address, source), []).append(item.id)
    for (address, source), ids in by_mark.items():
        yield warning(
            "copies-left-alone",
            "Forks of a sandbox bear its marks",
            detail=f"{', '.join(ids)} {'says' if len(ids) == 1 else 'say'} the same of themselves as {address}"
            f"{f' ({source})' if source else ', which is not there'}. They were left alone: no plan knows of them.",
            hint="«nexus delete ID» removes one; «nexus import ADDRESS ID» makes it a resource of its own",
            address=str(address),
        )
