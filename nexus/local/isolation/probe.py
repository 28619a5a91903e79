"""Finding out what this host can do, by doing it: the choice of a tier, and the findings of ``nexus local doctor``."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from nexus.local.isolation import capabilities, cgroups, mounts, remedies, tiers, user_namespaces
from nexus.local.isolation.findings import Finding
from nexus.local.isolation.lent_programs import has_shell, install_command, program_findings
from nexus.local.isolation.namespaces import NamespaceIsolation
from nexus.local.isolation.starting import StartError
from nexus.local.isolation.tiers import Tier
from nexus.local.isolation.zygote_process import ZygoteError
from nexus.local.network import SupervisorError
from nexus.local.settings import TIER_VARIABLE, place_for_sockets
from nexus.local.storage import host
from nexus.local.storage.file_systems import file_system_of, unfit_folder

_FAILURES: Final = (OSError, StartError, ZygoteError, SupervisorError, ValueError)


class NoIsolationError(Exception):
    """No tier works on this host; the message says why, tier by tier, and what helps."""


async def select_isolation(
    store: Path, runtime: Path, *, logs: Path | None = None, wanted: str | None = None
) -> NamespaceIsolation:
    """The best tier that passes its self-test, opened.

    ``wanted`` (else the variable NEXUS_LOCAL_ISOLATION) takes that tier and no other; those that keep less apart than
    processes and files are only taken that way. Raises NoIsolationError, also for a name that is no tier.
    """
    if not has_shell():
        raise NoIsolationError(
            f"this host has no bash, with which sandboxes run every command: {install_command('bash')}"
        )
    candidates = _candidates(wanted or os.environ.get(TIER_VARIABLE))
    failures: list[Finding] = []
    for tier in candidates:
        if problem := _obstacle(tier, store):
            failures.append(_tier_finding(tier, problem))
            continue
        for egress in (True, False) if tier.namespaces else (False,):
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
    if candidates == tiers.ALL:
        failures += [_offer(tier, store) for tier in tiers.BY_CONSENT]
    raise NoIsolationError(_explain(failures))


def _candidates(name: str | None) -> tuple[Tier, ...]:
    try:
        return (tiers.by_name(name),) if name else tiers.ALL
    except ValueError as error:
        raise NoIsolationError(str(error)) from error


def _offer(tier: Tier, store: Path) -> Finding:
    """How to ask for a tier, if nothing speaks against it; trying it takes too long for somebody who did not ask."""
    problem = _obstacle(tier, store)
    return _tier_finding(tier, problem) if problem else _consent_finding(tier, "may work here")


def _consent_finding(tier: Tier, verdict: str) -> Finding:
    return Finding(
        name=tier.name,
        title=tier.title,
        ok=False,
        detail=f"{verdict}, but has to be asked for, since it lacks: " + "; ".join(tier.lacks),
        remedy=f"nexus local start --isolation {tier.name}",
    )


async def diagnose(home: Path, *, every: bool = False) -> Sequence[Finding]:
    """Try the tiers, best first, until one works, and report on them, on what machines get of it, and on programs.

    Those that have to be asked for are tried when no other works, and count as working only where the variable
    NEXUS_LOCAL_ISOLATION asks. ``every`` tries the others as well. Works beside a running engine. Machines of the tests
    use the store of the engine at ``home``, because making another one takes long; where there is none yet, the one
    made here is left for it.
    """
    findings: list[Finding] = []
    best: Tier | None = None
    network: Finding | None = None
    with contextlib.suppress(OSError):
        # What is wrong with it shows in every tier.
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _readable_files(), tempfile.TemporaryDirectory(prefix="nexus-", dir=place_for_sockets()) as runtime:
        for tier in tiers.ALL:
            if best is not None and not every:
                break
            failure, without = await _examine(tier, home / "store", Path(runtime))
            findings.append(_tier_finding(tier, failure))
            if best is None and failure is None:
                best, network = tier, without
        if best is None or every:
            for tier in tiers.BY_CONSENT:
                finding, chosen = await _examine_by_consent(tier, home / "store", Path(runtime))
                findings.append(finding)
                if best is None and chosen:
                    best, network = tier, _SHARED_NETWORK
    if best is not None:
        findings.append(network or Finding(name="network", title="outbound network with rules", ok=True))
    return [*findings, *_group_findings(best), *program_findings()]


@contextlib.contextmanager
def _readable_files() -> Iterator[None]:
    """As in a daemon: what machines are made of has to be readable to their users, whatever the shell's umask is."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


_SHARED_NETWORK: Final = Finding(
    name="network",
    title="outbound network with rules",
    ok=False,
    detail="sandboxes share this container's network, and rules are refused",
    remedy=remedies.IN_CONTAINER,
)


async def _examine_by_consent(tier: Tier, store: Path, runtime: Path) -> tuple[Finding, bool]:
    """A tier that has to be asked for, and whether it works and is asked for."""
    problem = _obstacle(tier, store) or await _try(tier, store, runtime, egress=False)
    if problem is not None:
        return _tier_finding(tier, problem), False
    if os.environ.get(TIER_VARIABLE) != tier.name:
        return _consent_finding(tier, "works here"), False
    return Finding(name=tier.name, title=tier.title, ok=True, detail="it lacks: " + "; ".join(tier.lacks)), True


async def _examine(tier: Tier, store: Path, runtime: Path) -> tuple[str | None, Finding | None]:
    """What keeps a tier from working, None when it works, and what its network lacks."""
    if problem := _obstacle(tier, store):
        return problem, None
    failure = await _try(tier, store, runtime, egress=True)
    if failure is None:
        return None, None
    without = await _try(tier, store, runtime, egress=False)
    return without, _no_egress(failure)


def _obstacle(tier: Tier, store: Path) -> str | None:
    """Why a tier need not even be tried."""
    if not tier.single_uid and os.geteuid() != 0:
        return "needs root"
    if tier.namespaces:
        return unfit_folder(store) or (_unmappable(store) if tier.mapped else None)
    missing = capabilities.missing(capabilities.FOR_CHROOT)
    return f"root has not the capabilities {', '.join(missing)} here" if missing else None


def _unmappable(store: Path) -> str | None:
    """Which file system cannot map ids, such as the overlay that is the root of a container.

    Machines would find out too, but only after everything was made for them, which takes seconds of each start.
    """
    home = next(folder for folder in (store, *store.parents) if folder.is_dir())
    lent = [Path("/") / name for name in host.shared_folders()]
    try:
        with contextlib.closing(user_namespaces.create_mapped()) as mapping:
            for folder in (home, *lent):
                try:
                    mounts.map_ids(folder, mapping)
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise
                    what = f"{folder}, whose programs sandboxes use," if folder in lent else str(folder)
                    return f"{what} is on a file system of type {file_system_of(folder)}, which cannot map ids"
    except OSError as error:
        return str(error)
    return None


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
        remedy=remedies.for_network(),
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
