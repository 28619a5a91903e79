"""``nexus --version``: which nexus this is, and what it runs on. What a report of a fault begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click

import nexus

F = TypeVar("F", bound=Callable[..., object])

_DISTRIBUTION = "nexus-e2b"
_SHORT = 12


def version_option(function: F) -> F:
    """``--version``, which prints and ends."""
    option = click.option(
        "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show, help="Show the version and exit."
    )
    return option(function)


def _show(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:  # noqa: ARG001
    if not wanted or context.resilient_parsing:
        return
    for line in version_lines():
        click.echo(line)
    context.exit()


def version_lines() -> Iterator[str]:
    """The version, the commit where it can be told, and what nexus runs on."""
    import platform

    yield f"nexus, version {nexus.__version__}"
    if commit := _installed_commit() or _checked_out_commit():
        yield f"commit {commit}"
    yield f"e2b {_version('e2b')}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def _installed_commit() -> str:
    """Of an installation from a repository, which pip takes note of."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        note = json.loads(distribution(_DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return ""
    commit = note.get("vcs_info", {}).get("commit_id", "")
    return str(commit)[:_SHORT]


def _checked_out_commit() -> str:
    """Of the source tree that the package is run from."""
    import subprocess

    root = Path(nexus.__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty= (changed since)", "--exclude=*", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
