"""Finding out what this host can do, by doing it: the choice of a tier, and the findings of ``nexus local doctor``."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nexus.local.isolation import cgroups, remedies, tiers
from nexus.local.isolation.findings import Finding
from nexus.local.isolation.lent_programs import has_shell, install_command, program_findings
from nexus.local.isolation.namespaces import NamespaceIsolation
from nexus.local.isolation.starting import StartError
from nexus.local.isolation.tiers import Tier
from nexus.local.isolation.zygote_process import ZygoteError
from nexus.local.network import SupervisorError
from nexus.local.storage.file_systems import unfit_folder

TIER_VARIABLE: Final = "NEXUS_ISOLATION"
_FAILURES: Final = (OSError, StartError, ZygoteError, SupervisorError, ValueError)


class NoIsolationError(Exception):
    """No tier works on this host; the message says why, tier by tier, and what helps."""


async def select_isolation(
    store: Path, runtime: Path, *, logs: Path | None = None, wanted: str | None = None
) -> NamespaceIsolation:
    """The best tier that passes its self-test, opened.

    ``wanted`` (else the variable NEXUS_ISOLATION) takes that tier and no other. Raises NoIsolationError, and ValueError
    for a name that is no tier.
    """
    if not has_shell():
        raise NoIsolationError(
            f"this host has no bash, with which sandboxes run every command: {install_command('bash')}"
        )
    name = wanted or os.environ.get(TIER_VARIABLE)
    candidates = (tiers.by_name(name),) if name else tiers.ALL
    failures: list[Finding] = []
    for tier in candidates:
        if problem := _missing_rights(tier) or unfit_folder(store):
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


async def diagnose(home: Path, *, every: bool = False) -> Sequence[Finding]:
    """Try the tiers, best first, until one works, and report on them, on what machines get of it, and on programs.

    ``every`` tries the others as well. Works beside a running engine. Machines of the tests use the store of the engine
    at ``home``, because making another one takes long; where there is none yet, the one made here is left for it.
    """
    findings: list[Finding] = []
    best: Tier | None = None
    network: Finding | None = None
    with contextlib.suppress(OSError):
        # What is wrong with it shows in every tier.
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="nexus-") as runtime:
        for tier in tiers.ALL:
            if best is not None and not every:
                break
            failure, without = await _examine(tier, home / "store", Path(runtime))
            findings.append(_tier_finding(tier, failure))
            if best is None and failure is None:
                best, network = tier, without
    if best is not None:
        findings.append(network or Finding(name="network", title="outbound network with rules", ok=True))
    return [*findings, *_group_findings(best), *program_findings()]


async def _examine(tier: Tier, store: Path, runtime: Path) -> tuple[str | None, Finding | None]:
    """What keeps a tier from working, None when it works, and what its network lacks."""
    if problem := _missing_rights(tier) or unfit_folder(store):
        return problem, None
    failure = await _try(tier, store, runtime, egress=True)
    if failure is None:
        return None, None
    without = await _try(tier, store, runtime, egress=False)
    return without, _no_egress(failure)


def _missing_rights(tier: Tier) -> str | None:
    """Why this process need not even try a tier."""
    return None if tier.single_uid or os.geteuid() == 0 else "needs root"


async def _try(tier: Tier, store: Path, runtime: Path, *, egress: bool) -> str | None:
    """What keeps a tier from working, None when it works."""
    isolation = NamespaceIsolation(tier, store, runtime, egress=egress, is_guest=True)
    try:
        await isolation.open()
        await isolation.self_test()
    except _FAILURES as error:
        return str(error) or type(error).__name__
    finally:
        await isolation.close()
    return None


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
