"""Plans and what is asked of them, between a program's words and the planner's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nexus.api.given import address_of
from nexus.model.addresses import Address
from nexus.model.changes import Plan, PlanOptions
from nexus.workflows import planning


def save_plan(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write a plan to a file, as «nexus plan --out» does. No secret is in it. Raises NexusError."""
    planning.save(plan, Path(path).absolute())


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """A plan out of a file, to be applied by a project in the same environment. Raises NexusError."""
    return planning.read_saved(Path(path).absolute()).plan


def plan_options(
    targets: Iterable[str | Address] = (),
    excludes: Iterable[str | Address] = (),
    replace: Iterable[str | Address] = (),
    *,
    destroy: bool = False,
    refresh: bool = True,
    deep: bool = False,
    refresh_only: bool = False,
    allow_missing: bool = False,
    locked: bool = False,
    promote_from: str = "",
    options: PlanOptions | None = None,
) -> PlanOptions:
    """The ``options``, or else what the others come to. Raises ValueError for both, and for what is no address."""
    asked = PlanOptions(
        targets=_addresses(targets),
        excludes=_addresses(excludes),
        replace=_addresses(replace),
        destroy=destroy,
        refresh=refresh,
        deep=deep or refresh_only,
        refresh_only=refresh_only,
        allow_missing=allow_missing,
        locked=locked,
        promote_from=promote_from,
    )
    if options is None:
        return asked
    if asked != PlanOptions():
        raise ValueError("options are all that is asked for: no other selection beside them")
    return options


def _addresses(items: Iterable[str | Address]) -> tuple[Address, ...]:
    if isinstance(items, str):
        raise ValueError(f"a sequence of addresses is wanted, not the text {items!r}")
    return tuple(map(address_of, items))
