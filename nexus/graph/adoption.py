"""The sections ``import`` and ``removed``: live objects that blocks take over, and blocks that are gone on purpose."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from nexus.expressions import Path, parse_tree, resolve
from nexus.graph.desired import Import, Inputs, Removed
from nexus.graph.static import is_static
from nexus.model.addresses import Address, AddressError, address_now
from nexus.model.diagnostics import Diagnostics, DiagnosticsError, SourceRange, error
from nexus.model.suggestions import did_you_mean

_BY_NAME: Final = ("template", "volume")


def read_imports(inputs: Inputs, declared: Collection[Address], diagnostics: Diagnostics) -> dict[Address, Import]:
    """What is to be taken over, by the address that it is to have. What has the wrong shape the schema reports."""
    found: dict[Address, Import] = {}
    owners: dict[str, Address] = {}
    for path, item in _items(inputs, "import"):
        address, place = _address(item.get("to")), inputs.places((*path, "to"))
        if address is None:
            continue
        live_id = _id(item.get("id"), (*path, "id"), inputs, diagnostics)
        problem = _refusal(address, declared) or _twice(address, live_id, found, owners)
        if problem:
            summary, detail, hint = problem
            known = hint or did_you_mean(str(address), map(str, declared))
            diagnostics.add(
                error("invalid-import", summary, detail=detail, hint=known, address=str(address), range=place)
            )
        elif live_id:
            found[address] = Import(address, live_id, inputs.places(path) or place)
            owners[live_id] = address
    return found


def read_removed(inputs: Inputs, declared: Collection[Address], diagnostics: Diagnostics) -> tuple[Removed, ...]:
    """What is gone from the manifest on purpose, and whether it is to be destroyed."""
    found: list[Removed] = []
    for path, item in _items(inputs, "removed"):
        address = _address(item.get("from"))
        if address is None:
            continue
        place = inputs.places((*path, "from"))
        still = next((other for other in declared if address.covers(other)), None)
        if still is not None:
            diagnostics.add(
                error(
                    "removed-and-declared",
                    f"{address} is said to be removed, and still has a block",
                    hint="take out its block, or this entry of removed",
                    address=str(still),
                    range=place,
                )
            )
        lifecycle = item.get("lifecycle")
        destroy = not (isinstance(lifecycle, Mapping) and lifecycle.get("destroy") is False)
        found.append(Removed(address, destroy, place))
    return tuple(found)


def check_moved(inputs: Inputs, declared: Collection[Address], diagnostics: Diagnostics) -> None:
    """What is declared under an old address would be moved away at every apply, and made again."""
    section = inputs.values.get("moved")
    written = {
        _address(old): (old, _address(new)) for old, new in (section if isinstance(section, dict) else {}).items()
    }
    moves = {old: new for old, (_, new) in written.items() if old is not None and new is not None}
    told: set[Address] = set()
    for address in declared if moves else ():
        old = address if address in moves else address.group
        if old in told or address_now(address, moves) == address:
            continue
        told.add(old)
        diagnostics.add(
            error(
                "moved-and-declared",
                f"{old} is said to be moved to {moves[old]}, and still has a block",
                hint="take this entry out of moved once everybody has applied it, or give the new block another name",
                address=str(address),
                range=inputs.places(("moved", written[old][0])),
            )
        )


def _items(inputs: Inputs, section: str) -> Iterator[tuple[Path, Mapping[str, object]]]:
    written = inputs.values.get(section)
    for index, item in enumerate(written if isinstance(written, list) else ()):
        if isinstance(item, Mapping):
            yield (section, index), item


def _address(text: object) -> Address | None:
    try:
        return Address.parse(text) if isinstance(text, str) else None
    except AddressError:
        return None


def _id(written: object, path: Path, inputs: Inputs, diagnostics: Diagnostics) -> str:
    """The id of the live object; "" once what is wrong with it was reported."""
    place: SourceRange | None = inputs.places(path)
    raw = parse_tree(written, path, inputs.places, diagnostics)
    if not is_static(raw):
        diagnostics.add(
            error(
                "not-known-before-apply",
                "The id of an import may only use what is known before apply",
                hint="use vars, env and functions here",
                range=place,
            )
        )
        return ""
    try:
        value = resolve(raw, inputs.static_scope())
    except DiagnosticsError as problem:
        diagnostics.extend(item.at(place) for item in problem.diagnostics)
        return ""
    if isinstance(value, str) and value:
        return value
    diagnostics.add(error("invalid-import", "The id of an import must be a text that is not empty", range=place))
    return ""


def _refusal(address: Address, declared: Collection[Address]) -> tuple[str, str, str] | None:
    """Summary, detail and hint of what is wrong."""
    if address.kind in _BY_NAME:
        return (
            f"A {address.kind} can't be imported",
            f"E2B knows a {address.kind} by its name, and none can be renamed. One that has the name which nexus would "
            "give it is taken over by an ordinary apply.",
            f"use a {address.kind} that exists by its own name" if address.kind == "template" else "",
        )
    if address.kind != "sandbox":
        return f"A {address.kind} can't be imported", "Only sandboxes can.", ""
    if address not in declared:
        return f"There is no block for {address}", "What is imported needs a block that says how it is to be.", ""
    return None


def _twice(
    address: Address, live_id: str, found: Mapping[Address, Import], owners: Mapping[str, Address]
) -> tuple[str, str, str] | None:
    if address in found:
        return f"{address} is imported twice", "", "keep one of them"
    if live_id in owners:
        return f"{live_id} is imported twice", f"It is to be {owners[live_id]} already.", "keep one of them"
    return None
