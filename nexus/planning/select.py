"""What a plan may touch: ``--target`` and ``--exclude``, with everything that belongs to what they name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from nexus.graph import Dag
from nexus.kinds.shared_setup import setup_address
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, Diagnostics, error
from nexus.model.suggestions import did_you_mean
from nexus.planning.request import PlanRequest


def selected(request: PlanRequest, diagnostics: Diagnostics) -> Collection[Address] | None:
    """Addresses that may change; None means all. An address that names nothing is an error.

    A target brings what it needs, and when it is to go, what must go before it. An exclusion keeps what needs the
    excluded, and when it would have gone, what it needs.
    """
    options = request.options
    known = {**request.graph.resources, **request.state.resources}
    for flag, addresses in _flags(request):
        for address in addresses:
            if not any(address.covers(item) for item in known):
                diagnostics.add(_unknown(flag, address, known))
    if not options.targets and not options.excludes:
        return None
    staying, going = _staying(request), _going(request)
    chosen: set[Address] = set(known)
    if options.targets:
        named = _covered(options.targets, known)
        chosen = staying.with_needs(named) | going.with_dependants(named)
    if options.excludes:
        named = _covered(options.excludes, known)
        chosen -= staying.with_dependants(named) | going.with_needs(named)
    return chosen


def _flags(request: PlanRequest) -> Iterable[tuple[str, tuple[Address, ...]]]:
    options = request.options
    yield "promote" if options.promote_from else "--target", options.targets
    yield "--exclude", options.excludes
    yield "--replace", options.replace
    yield "run", options.run


def _staying(request: PlanRequest) -> Dag[Address]:
    """What should exist when all is done, and what it needs."""
    return Dag({}) if request.options.destroy else request.graph.dag


def _going(request: PlanRequest) -> Dag[Address]:
    """What the state knows and nobody wants any more, and what it needed of the same kind."""
    wanted = () if request.options.destroy else request.graph.resources.keys()
    going = {address: record for address, record in request.state.resources.items() if address not in wanted}
    return Dag(
        {address: [needed for needed in record.depends_on if needed in going] for address, record in going.items()}
    )


def recorded_needs(request: PlanRequest) -> Mapping[Address, tuple[Address, ...]]:
    """What each recorded resource needed when it was last applied: the order in which things go is the reverse.

    Records that contradict each other are not believed; the manifest is, then.
    """
    resources = request.state.resources
    recorded = {address: record.depends_on for address, record in resources.items()}
    for address in resources:
        # Whether a sandbox was made from its block's shared setup is not remembered once the block shares no more.
        setup = setup_address(address) if address.kind == "sandbox" else None
        if setup in resources and setup is not None and setup not in recorded[address]:
            recorded[address] = (*recorded[address], setup)
    if not Dag(recorded).cycles():
        return recorded
    return {address: spec.depends_on for address, spec in request.graph.resources.items()}


def _covered(named: Iterable[Address], known: Iterable[Address]) -> set[Address]:
    exact = set(named)
    return {item for item in known if item in exact or item.group in exact}


def _unknown(flag: str, address: Address, known: Iterable[Address]) -> Diagnostic:
    return error(
        "unknown-address",
        f"{flag} names {address}, which exists neither in the manifest nor in the state",
        hint=did_you_mean(str(address), map(str, known)),
        address=str(address),
    )
