"""``nexus version`` and ``--version``: which nexus this is, and what it runs on; with it a report of a fault begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

import nexus
from nexus.cli.manual import examples

F = TypeVar("F", bound=Callable[..., object])

_DISTRIBUTION = "nexus-e2b"
_SHORT = 12
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Build:
    """What nexus was built from. ``commit`` and ``date`` (of the commit) are empty where they can't be told."""

    commit: str = ""
    date: str = ""


@click.command(
    "version",
    epilog=examples(
        "nexus version",
        "nexus version --json",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print the same as JSON.")
def command(as_json: bool) -> int:
    """Show the version, the commit that it was built from, and what nexus runs on."""
    if as_json:
        import json

        click.echo(json.dumps(_document(), indent=2))
        return 0
    for line in version_lines():
        click.echo(line)
    return 0


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
    if (build := build_of(Path(nexus.__file__).parent)).commit:
        yield f"commit {build.commit}" + (f" of {build.date}" if build.date else "")
    yield f"e2b {_version('e2b')}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def build_of(package: Path) -> Build:
    """Of the package in this folder: from its own note, that of pip, or the repository that it lies in."""
    return _noted(package) or _installed() or _checked_out(package.parent) or Build()


def _document() -> dict[str, object]:
    import platform

    build = build_of(Path(nexus.__file__).parent)
    return {
        "format_version": _FORMAT_VERSION,
        "version": nexus.__version__,
        "commit": build.commit or None,
        "date": build.date or None,
        "e2b": _version("e2b"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _noted(package: Path) -> Build | None:
    """A wheel has a note beside the code."""
    import json

    try:
        note = json.loads((package / "build.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Build(str(note.get("commit", "")), str(note.get("date", "")))


def _installed() -> Build | None:
    """Of an installation from a repository, which pip takes note of."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        note = json.loads(distribution(_DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    commit = str(note.get("vcs_info", {}).get("commit_id", ""))
    return Build(commit[:_SHORT]) if commit else None


def _checked_out(root: Path) -> Build | None:
    """Of the source tree that the package is run from."""
    import subprocess

    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty= (changed since)", "--exclude=*", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Build(done.stdout.strip())


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
