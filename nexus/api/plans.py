"""Plans and what is asked of them, between a program's words and the planner's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

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
    targets: Iterable[str] = (),
    excludes: Iterable[str] = (),
    replace: Iterable[str] = (),
    *,
    destroy: bool = False,
    refresh: bool = True,
    deep: bool = False,
    refresh_only: bool = False,
    allow_missing: bool = False,
) -> PlanOptions:
    """Raises ValueError for what is no address, or makes no sense together."""
    if not refresh and (deep or refresh_only):
        raise ValueError("without refresh nothing is looked at, so there is nothing that deep or refresh_only sees")
    options = PlanOptions(
        targets=_addresses(targets),
        excludes=_addresses(excludes),
        replace=_addresses(replace),
        destroy=destroy,
        refresh=refresh,
        deep=deep or refresh_only,
        refresh_only=refresh_only,
        allow_missing=allow_missing,
    )
    if refresh_only and (destroy or options.replace):
        raise ValueError("refresh_only changes nothing, so it does not go with destroy and replace")
    return options


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    if isinstance(texts, str):
        raise ValueError(f"a sequence of addresses is wanted, not the text {texts!r}")
    return tuple(map(Address.parse, texts))
