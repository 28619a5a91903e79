"""Finding out what this host can do, by doing it: the choice of a tier, and the findings of ``nexus local doctor``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.local.isolation import cgroups, remedies, tiers
from nexus.local.isolation.namespaces import NamespaceIsolation
from nexus.local.isolation.starting import StartError
from nexus.local.isolation.tiers import Tier
from nexus.local.isolation.zygote_process import ZygoteError
from nexus.local.network import SupervisorError
from nexus.local.storage.removal import remove_tree

TIER_VARIABLE: Final = "NEXUS_ISOLATION"
_FAILURES: Final = (OSError, StartError, ZygoteError, SupervisorError, ValueError)


class NoIsolationError(Exception):
    """No tier works on this host; the message says why, tier by tier, and what helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor. ``remedy`` is a command or a sentence that mends it; None when nothing needs mending."""

    name: str
    title: str
    ok: bool
    detail: str = ""
    remedy: str | None = None


async def select_isolation(
    store: Path, runtime: Path, *, logs: Path | None = None, wanted: str | None = None
) -> NamespaceIsolation:
    """The best tier that passes its self-test, opened.

    ``wanted`` (else the variable NEXUS_ISOLATION) takes that tier and no other. Raises NoIsolationError, and ValueError
    for a name that is no tier.
    """
    name = wanted or os.environ.get(TIER_VARIABLE)
    candidates = (tiers.by_name(name),) if name else tiers.ALL
    failures: list[Finding] = []
    for tier in candidates:
        if problem := _missing_rights(tier):
            failures.append(_tier_finding(tier, problem))
            continue
        for egress in (True, False):
            isolation = NamespaceIsolation(tier, store, runtime, logs=logs, egress=egress)
            try:
                await isolation.open()
                await isolation.self_test()
            except _FAILURES as error:
                await isolation.close()
                if not egress:
                    failures.append(_tier_finding(tier, str(error)))
            else:
                return isolation
    raise NoIsolationError(_explain(failures))


async def diagnose(home: Path, *, every: bool = True, in_use: str | None = None) -> Sequence[Finding]:
    """Try the tiers, best first, and report on them and on what machines get of the best.

    Those for ordinary users are left out when a better one works. Without ``every``, so are all after the first that
    works, and none is tried where ``in_use`` names the one that a running engine uses.
    Works beside a running engine: in folders of its own, on the file system of ``home``, removed afterwards.
    """
    if in_use is not None and not every:
        tier = tiers.by_name(in_use)
        used = Finding(name=tier.name, title=tier.title, ok=True, detail="the running engine uses it")
        return [used, *_group_findings(tier)]
    findings: list[Finding] = []
    best: Tier | None = None
    network: Finding | None = None
    async with _scratch(home) as (store, runtime):
        for tier in tiers.ALL:
            if best is not None and (tier.single_uid or not every):
                continue
            failure = _missing_rights(tier) or await _try(tier, store, runtime, egress=True)
            if (
                failure
                and not _missing_rights(tier)
                and (without := await _try(tier, store, runtime, egress=False)) is None
            ):
                network, failure = _no_egress(failure), without
            findings.append(_tier_finding(tier, failure))
            best = best or (None if failure else tier)
    if best is not None:
        findings.append(network or Finding(name="network", title="outbound network with rules", ok=True))
    findings.extend(_group_findings(best))
    return findings


def _missing_rights(tier: Tier) -> str | None:
    """Why this process need not even try a tier."""
    return None if tier.single_uid or os.geteuid() == 0 else "needs root"


async def _try(tier: Tier, store: Path, runtime: Path, *, egress: bool) -> str | None:
    """What keeps a tier from working, None when it works."""
    isolation = NamespaceIsolation(tier, store, runtime, egress=egress)
    try:
        await isolation.open()
        await isolation.self_test()
    except _FAILURES as error:
        return str(error) or type(error).__name__
    finally:
        await isolation.close()
    return None


@contextlib.asynccontextmanager
async def _scratch(home: Path) -> AsyncIterator[tuple[Path, Path]]:
    """A store beside the real one, since what works depends on the file system, and a short runtime folder."""
    store = home / f"doctor-{secrets.token_hex(4)}"
    runtime = Path(tempfile.mkdtemp(prefix="nexus-"))
    store.mkdir(parents=True, mode=0o700)
    try:
        yield store, runtime
    finally:
        await asyncio.to_thread(remove_tree, store)
        await asyncio.to_thread(remove_tree, runtime)


def _tier_finding(tier: Tier, failure: str | None) -> Finding:
    if failure is None:
        return Finding(name=tier.name, title=tier.title, ok=True)
    return Finding(
        name=tier.name,
        title=tier.title,
        ok=False,
        detail=failure,
        remedy=remedies.for_tier(tier, failure),
    )


def _no_egress(failure: str) -> Finding:
    return Finding(
        name="network",
        title="outbound network with rules",
        ok=False,
        detail=f"sandboxes share the host's network, and rules are refused: {failure}",
        remedy=f"run a kernel of version 5.14 or later (this is {platform.release()})",
    )


def _group_findings(best: Tier | None) -> list[Finding]:
    hierarchies = cgroups.find_hierarchies()
    usable = best is not None and not best.single_uid
    limits = sorted(hierarchies.limits) if usable else []
    missing = sorted({"memory", "pids", "cpu"} - set(limits))
    return [
        Finding(
            name="limits",
            title="limits of memory, processes and CPU",
            ok=not missing,
            detail=f"not enforced: {', '.join(missing)}" if missing else "",
            remedy=remedies.FOR_LIMITS if missing else None,
        ),
        Finding(
            name="pause",
            title="freezing paused sandboxes",
            ok=True,
            detail="by control group" if usable and hierarchies.can_freeze else "by signals",
        ),
    ]


def _explain(failures: Sequence[Finding]) -> str:
    lines = ["this host cannot isolate sandboxes:"]
    for finding in failures:
        lines.append(f"  {finding.name}: {finding.detail}")
        if finding.remedy:
            lines.append(f"    to mend it: {finding.remedy}")
    return "\n".join(lines)
