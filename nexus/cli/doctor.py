"""``nexus doctor``: what this machine and account can do, and what mends what they can't."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from nexus.cli.failures import guarded
from nexus.cli.options import json_option, target_options
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a doctor. ``remedy`` is a command or a sentence that mends it, "" when nothing needs mending.

    Of those that ``decide``, one has to be right for the target to be usable.
    """

    title: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    decides: bool = False


@click.command("doctor")
@target_options
@json_option("the findings")
@click.pass_obj
@guarded
def command(settings: Settings, local: bool, as_json: bool) -> int:
    """Say what this machine and account can do, and what to do about what they can't.

    Exit code 1 when something that nexus needs for its target does not work.
    """
    from nexus.wiring import TargetKind, choose_target, home

    choice = choose_target(settings.environment, {}, local=local)
    findings = [_python(), _program("git", needed=False)]
    if choice.kind is TargetKind.LOCAL:
        findings += engine_findings(home(settings.environment))
    else:
        findings.append(_account(settings))
    if not as_json:
        click.echo(f"Target: {choice.kind} ({choice.because})")
    return print_findings(findings, as_json=as_json)


def engine_findings(home: Path) -> list[Finding]:
    """How well this machine isolates sandboxes; tries it for real, beside a running engine."""
    from nexus.local.isolation import tiers
    from nexus.local.isolation.probe import diagnose

    ways = {tier.name for tier in tiers.ALL}
    return [
        Finding(
            title=f"{item.name}: {item.title}" if item.name in ways else item.title,
            ok=item.ok,
            detail=item.detail,
            remedy=item.remedy or "",
            decides=item.name in ways,
        )
        for item in asyncio.run(diagnose(home))
    ]


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> int:
    """All of them. The exit code is 1 only when none of the ways to isolate, or the account, works."""
    usable = any(item.ok for item in findings if item.decides)
    if as_json:
        click.echo(json.dumps({"format_version": 1, "findings": [asdict(item) for item in findings]}, indent=2))
        return 0 if usable else 1
    for item in findings:
        click.echo(f"  {'ok ' if item.ok else 'no '} {item.title}{': ' + item.detail if item.detail else ''}")
        if item.remedy:
            click.echo(f"      hint: {item.remedy}")
    return 0 if usable else 1


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(title="Python", ok=True, detail=f"{version}, {sys.executable}")


def _program(name: str, *, needed: bool) -> Finding:
    path = shutil.which(name)
    detail = path or ("not found" if needed else "not found; only needed for projects kept in git")
    return Finding(title=name, ok=path is not None, detail=detail)


def _account(settings: Settings) -> Finding:
    from nexus.wiring import TargetKind, choose_target, open_provider

    async def ask() -> str:
        choice = choose_target({**settings.environment, "NEXUS_TARGET": TargetKind.E2B}, {})
        provider = open_provider(choice, settings.environment, {})
        try:
            return str(await provider.identity())
        finally:
            await provider.aclose()

    from nexus.providers.base import ProviderError

    try:
        return Finding(title="E2B account", ok=True, detail=asyncio.run(ask()), decides=True)
    except ProviderError as problem:
        first = problem.diagnostic
    except DiagnosticsError as problem:
        first = problem.diagnostics[0]
    return Finding(title="E2B account", ok=False, detail=first.summary, remedy=first.hint, decides=True)
