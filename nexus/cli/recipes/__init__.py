"""What ``nexus init`` gives a repository for its continuous integration: workflows of GitHub, pipelines of GitLab.

The recipes are the YAML files of this folder. They are valid as they stand; the few values that depend on the project
stand in lines of their own, which are replaced.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from nexus.model.diagnostics import DiagnosticsError, error

Forge = Literal["github", "gitlab"]
_CHECK: Final = "check.github.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What of a recipe depends on the project. ``folder`` is the project's in its repository."""

    environment: str
    folder: PurePosixPath
    find_state: bool

    def text(self, forge: Forge) -> str:
        lines = {
            "ENVIRONMENT": self.environment,
            "FOLDER": str(self.folder),
            "working-directory": str(self.folder),
            "FIND_STATE": f'"{str(self.find_state).lower()}"',
        }
        text = _shipped(f"{forge}.yml")
        for key, value in lines.items():
            text = _with_value(text, key, value)
        return text


def write_check(folder: Path) -> list[str]:
    """Write the recipe that only proves the manifest into a project's folder, unless there is one.

    Returns what was written, as seen from there.
    """
    path = _path("github", folder)
    if path.exists():
        return []
    _write(path, _shipped(_CHECK))
    return [str(path.relative_to(folder))]


def write_recipe(recipe: Recipe, forge: Forge, repository: Path) -> Path:
    """Write the whole recipe, in the place of one that only proves the manifest. Raises DiagnosticsError."""
    path = _path(forge, repository)
    if path.exists() and path.read_text(encoding="utf-8") not in (_shipped(_CHECK), recipe.text(forge)):
        raise DiagnosticsError(
            error(
                "file-exists",
                f"There is a {path.relative_to(repository)} already",
                detail="It is not what nexus writes, so it is left as it is.",
                hint="move it aside, or begin in another folder and take over what you need",
            )
        )
    _write(path, recipe.text(forge))
    return path


def repository_of(folder: Path) -> Path:
    """The folder of the Git repository around ``folder``, itself where there is none."""
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), folder)


def _with_value(text: str, key: str, value: str) -> str:
    """The recipe with another value wherever it gives ``key`` one; expressions of the forge stay."""

    def line(match: re.Match[str]) -> str:
        return f"{match[1]}: {value}"

    return re.sub(rf"^(\s+{key}): [^$\n]+$", line, text, flags=re.MULTILINE)


def _path(forge: Forge, repository: Path) -> Path:
    return repository / (".gitlab-ci.yml" if forge == "gitlab" else Path(".github", "workflows", "nexus.yml"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _shipped(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
