"""``nexus init``: a new project from one of the examples."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import Final, get_args

import click

import nexus
from nexus.cli.failures import guarded
from nexus.cli.manual import examples
from nexus.cli.options import environment_option
from nexus.cli.recipes import Forge, Recipe, repository_of, write_check, write_recipe
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError, error

SCHEMA_LINE = "# yaml-language-server: $schema={schema}\n"
DEFAULT_EXAMPLE = "quickstart"
_CI: Final = "ci"
_README = "README.md"  # speaks of the example, and a project usually has its own


@click.command(
    "init",
    epilog=examples(
        "nexus init  # the quickstart",
        "nexus init --list",
        "nexus -C pipeline init data-pipeline  # in a new folder",
        "nexus init ci --forge gitlab  # a recipe for the project here",
    ),
)
@click.argument("example", default=DEFAULT_EXAMPLE, metavar="[EXAMPLE]")
@click.option("--list", "list_only", is_flag=True, help="Show the examples there are.")
@click.option("--name", default=None, help="Name of the project; the folder's name if not said.")
@click.option("--forge", type=click.Choice(get_args(Forge)), default="github", show_default=True, help="With «ci».")
@environment_option
@click.pass_obj
@guarded
def command(settings: Settings, example: str, list_only: bool, name: str | None, forge: Forge, environment: str) -> int:
    """Begin a project in this folder from EXAMPLE, or with «ci» its continuous integration.

    Writes the example's files, an editor line for the schema, a .gitignore, and a recipe that proves the manifest on
    GitHub. Existing files are never overwritten.

    «nexus init ci» writes a recipe for the repository of the project in this folder: a pull request shows its plan in
    one comment, a merge applies it, and drift and previews that are over are looked for on schedule.
    """
    if example == _CI:
        return _write_ci(settings.folder, forge, environment)
    if list_only:
        for folder in _examples():
            click.echo(f"{folder.name:<18} {_caption(folder)}")
        return 0
    source = _find(example)
    settings.folder.mkdir(parents=True, exist_ok=True)
    written = _copy(source, settings.folder)
    written += _adapt(settings.folder, source, name or settings.folder.name)
    written += write_check(settings.folder)
    click.echo(f"Began a project from «{source.name}» in {settings.folder}: {', '.join(sorted(written))}")
    click.echo("Next: nexus plan, then nexus apply")
    return 0


def _write_ci(folder: Path, forge: Forge, environment: str) -> int:
    from nexus.manifest import read

    manifest = read(folder)
    repository = repository_of(manifest.root)
    recipe = Recipe(
        environment=environment,
        folder=PurePosixPath(manifest.root.relative_to(repository)),
        find_state=manifest.section("state").get("backend", "local") == "local",
    )
    path = write_recipe(recipe, forge, repository)
    click.echo(f"Wrote {path}. Its first lines say what it needs.")
    return 0


def _shipped(name: str) -> Path:
    """A folder that the wheel carries inside the package, and a checkout beside it."""
    package = Path(nexus.__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def _examples() -> list[Path]:
    return sorted(folder for folder in _shipped("examples").iterdir() if (folder / "nexus.yaml").is_file())


def _caption(folder: Path) -> str:
    return (folder / "nexus.yaml").read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def _find(example: str) -> Path:
    for folder in _examples():
        if folder.name == example:
            return folder
    names = ", ".join(folder.name for folder in _examples())
    raise DiagnosticsError(
        error("unknown-example", f"There is no example «{example}»", hint=f"the examples are: {names}")
    )


def _copy(source: Path, target: Path) -> list[str]:
    left_out = {".nexus", "__pycache__", _README}  # pip compiles whatever it installs
    files = [
        path for path in source.rglob("*") if path.is_file() and left_out.isdisjoint(path.relative_to(source).parts)
    ]
    taken = [str(path.relative_to(source)) for path in files if (target / path.relative_to(source)).exists()]
    if taken:
        raise DiagnosticsError(
            error(
                "file-exists",
                "The folder has files that the example would overwrite",
                detail=f"They are: {', '.join(sorted(taken))}.",
                hint="begin in an empty folder: nexus -C NEW-FOLDER init",
            )
        )
    for path in files:
        destination = target / path.relative_to(source)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, destination)
    return sorted({path.relative_to(source).parts[0] for path in files})


def _adapt(target: Path, source: Path, name: str) -> list[str]:
    """Make what was copied the project's own. Returns what was written besides."""
    manifest = target / "nexus.yaml"
    text = manifest.read_text(encoding="utf-8")
    project = _project_name(name) or source.name
    text = text.replace(f"project: {source.name}\n", f"project: {project}\n", 1)
    manifest.write_text(SCHEMA_LINE.format(schema=_schema_uri()) + text, encoding="utf-8")
    ignore = target / ".gitignore"
    if ignore.exists():
        return []
    ignore.write_text(".nexus/\n", encoding="utf-8")
    return [ignore.name]


def _schema_uri() -> str:
    return (_shipped("schemas") / "nexus.schema.json").absolute().as_uri()


def _project_name(text: str) -> str:
    """The nearest valid project name: letters, digits and hyphens, beginning with a letter."""
    cleaned = "".join(char if char.isascii() and char.isalnum() else "-" for char in text.lower()).strip("-")
    return cleaned if cleaned[:1].isalpha() else ""
