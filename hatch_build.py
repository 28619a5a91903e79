"""What a wheel and an sdist carry besides the package: schemas, examples, and a note of the commit they are built from.

The build backend calls this (``[tool.hatch.build.hooks.custom]`` in pyproject.toml). An editable installation carries
nothing: it finds all of it in the checkout.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NOTE = "nexus/build.json"
CARRIED = ("schemas", "examples")
LEFT_OUT = frozenset({".nexus", "__pycache__", ".pytest_cache"})
"""What using an example leaves in its folder."""


class CarriedFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Adds them to what is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        if self.target_name == "wheel":
            for folder in CARRIED:
                build_data["force_include"].update(_files(root / folder, f"nexus/{folder}"))
        # A wheel made from an sdist has the sdist's note, as there is no repository to ask.
        if built := _commit(root):
            self._note = tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8")  # noqa: SIM115
            json.dump(built, self._note)
            self._note.flush()
            build_data["force_include"][self._note.name] = NOTE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        if note := getattr(self, "_note", None):
            note.close()


def _files(folder: Path, target: str) -> dict[str, str]:
    """Every file of a folder, with where it goes."""
    return {
        str(path): f"{target}/{path.relative_to(folder).as_posix()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and LEFT_OUT.isdisjoint(path.relative_to(folder).parts)
    }


def _commit(root: Path) -> dict[str, str] | None:
    """The commit that is checked out, and when it was made: the same commit makes the same wheel, bit by bit."""
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    ask = {
        "commit": [*git, "describe", "--always", "--dirty= (changed since)", "--exclude=*", "--abbrev=12"],
        "date": [*git, "show", "--no-patch", "--format=%cs", "HEAD"],
    }
    try:
        return {
            key: subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
            for key, command in ask.items()
        }
    except (OSError, subprocess.SubprocessError):
        return None
