"""``nexus fmt``: manifests in one layout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.manual import examples
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import Formatted

STDIN = "-"


@click.command(
    "fmt",
    epilog=examples(
        "nexus fmt  # every file of the project here",
        "nexus fmt --check --diff  # for CI: say what would change",
        "nexus fmt - < draft.yaml  # from standard input to standard output",
        exit_codes={0: "all are formatted, or are now", 1: "with --check: one is not; or an error"},
    ),
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if a file is not formatted.")
@click.option("--diff", "show_diff", is_flag=True, help="Write nothing; print what would change.")
@click.pass_obj
@guarded
def command(settings: Settings, paths: tuple[Path, ...], check: bool, show_diff: bool) -> int:
    """Give manifests the one layout, and print the names of the files that this changed.

    Two columns for each level, lists below their keys, one space after colons and none inside brackets, one blank line
    between sections. Comments, quotes, the order of things and where lines break stay as they are, and so does the
    meaning: a text that would come to mean anything else is refused.

    PATHS are files, and folders of projects, whose included files are formatted too; the project here, without any. «-»
    reads from standard input and writes to standard output.
    """
    from nexus.api.formatting import format_manifests, format_text

    if STDIN in map(str, paths):
        if len(paths) > 1:
            raise click.UsageError("Standard input is formatted alone.")
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
        return _tell([format_text(text, "<stdin>")], check=check, show_diff=show_diff, to_stdout=True)
    done = format_manifests(settings.folder, paths, write=not check and not show_diff)
    show_diagnostics(settings, done.problems)
    code = _tell(list(done.files.values()), check=check, show_diff=show_diff)
    return 1 if done.problems else code


def _tell(items: list[Formatted], *, check: bool, show_diff: bool, to_stdout: bool = False) -> int:
    changed = [item for item in items if item.is_changed]
    if show_diff:
        for item in changed:
            click.echo(_difference(item), nl=False)
    elif to_stdout and not check:
        sys.stdout.buffer.write(items[0].after.encode())
    else:
        for item in changed:
            click.echo(item.name)
    return 1 if check and changed else 0


def _difference(item: Formatted) -> str:
    from difflib import unified_diff

    before, after = item.before.splitlines(keepends=True), item.after.splitlines(keepends=True)
    lines = unified_diff(before, after, f"{item.name} (as it is)", f"{item.name} (formatted)")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
