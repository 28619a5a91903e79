"""``nexus doctor``: what this machine and account can do, and what mends what they can't."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from nexus.cli.engine import engine_home, explained
from nexus.cli.failures import guarded
from nexus.cli.manual import examples
from nexus.cli.options import json_option, target_options
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError

if TYPE_CHECKING:
    from nexus import AsyncAccount
    from nexus.render.findings import Finding

_LITTLE_SPACE: Final = 2 * 1024**3


@click.command(
    "doctor",
    epilog=examples(
        "nexus doctor",
        "nexus doctor --local --all  # every way to isolate sandboxes here",
        exit_codes={0: "nexus can work here", 1: "something that it needs does not work"},
    ),
)
@click.option("--all", "every", is_flag=True, help="Try every way to isolate sandboxes, not only the best.")
@target_options
@json_option("the findings")
@click.pass_obj
@guarded
def command(settings: Settings, every: bool, local: bool, as_json: bool) -> int:
    """Say what this machine and account can do, and what to do about what they can't.

    Exit code 1 when something that nexus needs for its target does not work.
    """
    from nexus.api.account import AsyncAccount

    account = AsyncAccount(target="local" if local else None, process=settings.environment)
    where = asyncio.run(account.where())
    if not as_json:
        click.echo(f"Target: {where.target} ({'--local' if local else where.because})", err=True)
    findings = [_python(), _git()]
    if where.target == "local":
        findings += engine_findings(engine_home(settings), every=every)
    else:
        findings.append(_account(account))
    return tell(settings, findings, where.target, as_json=as_json)


@explained
def engine_findings(home: Path, *, every: bool) -> list[Finding]:
    """How well this machine isolates sandboxes: tried for real, beside an engine that runs."""
    from nexus.local.isolation import tiers
    from nexus.local.isolation.probe import diagnose
    from nexus.render.findings import Finding

    running = _running_engine(home)
    ways = {tier.name for tier in (*tiers.ALL, *tiers.BY_CONSENT)}
    tried = [
        Finding(
            title=f"{item.name}: {item.title}" if item.name in ways else item.title,
            ok=item.ok,
            detail=item.detail,
            remedy=item.remedy or "",
            decides=item.name in ways,
        )
        for item in asyncio.run(diagnose(home, every=every))
    ]
    if running is None:
        detail = "not running; it starts by itself"
    else:
        detail = f"running at {running['apiURL']}, isolating by {running['tier']}"
    return [Finding(title="local engine", ok=True, detail=detail), _space(home), *tried, _names()]


def tell(settings: Settings, findings: list[Finding], target: str, *, as_json: bool) -> int:
    """All of them, on stdout. The exit code is 1 only when the target can't be used."""
    from nexus.render.findings import findings_to_json, is_usable, print_findings

    if as_json:
        click.echo(json.dumps(findings_to_json(findings, target), indent=2, ensure_ascii=False))
    else:
        print_findings(settings.console(), findings, target)
    return 0 if is_usable(findings) else 1


def _names() -> Finding:
    """Whether programs on this machine can use the names of sandboxes' ports."""
    from nexus.local.clients import remedy_for_names, resolves_sandbox_names
    from nexus.render.findings import Finding

    ok = resolves_sandbox_names()
    missing = "names under localhost do not resolve here: only browsers and curl reach sandboxes' ports by name"
    return Finding(
        title="names of sandboxes' ports", ok=ok, detail="" if ok else missing, remedy="" if ok else remedy_for_names()
    )


def _running_engine(home: Path) -> dict[str, object] | None:
    from nexus.local import daemon

    try:
        found = daemon.status(home)
    except (daemon.DaemonError, OSError):
        return None
    return None if found is None else dict(found)


def _python() -> Finding:
    from nexus.render.findings import Finding

    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(title="Python", ok=True, detail=f"{version}, {sys.executable}")


def _git() -> Finding:
    from nexus.render.findings import Finding

    path = shutil.which("git")
    missing = "not found; only sandboxes that use git need it, and projects that are kept in it"
    return Finding(title="git", ok=path is not None, detail=path or missing)


def _space(home: Path) -> Finding:
    """Room where the engine keeps templates and disks."""
    from nexus.render.findings import Finding
    from nexus.render.values import size

    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    enough = free >= _LITTLE_SPACE
    remedy = (
        "" if enough else f"make room there, or set NEXUS_HOME to a folder that has more than {size(_LITTLE_SPACE)}"
    )
    return Finding(title="disk", ok=enough, detail=f"{size(free)} free at {place}", remedy=remedy)


def _account(account: AsyncAccount) -> Finding:
    from nexus.render.findings import Finding

    try:
        return Finding(title="E2B account", ok=True, detail=asyncio.run(account.identity()), decides=True)
    except DiagnosticsError as problem:
        first = problem.diagnostics[0]
    return Finding(title="E2B account", ok=False, detail=first.summary, remedy=first.hint, decides=True)
