"""What ``nexus init`` gives a project for its continuous integration."""

from __future__ import annotations

from pathlib import Path
from typing import Final

GITHUB_PATH: Final = Path(".github", "workflows", "nexus.yml")

GITHUB: Final = """\
# Proves the manifest at every push, on the local engine: it needs no account and no secret.
name: nexus
on: [push, pull_request]
jobs:
  manifest:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.12"}
      - run: pip install nexus-e2b
      - run: nexus validate
      # As root, with whom the engine isolates best.
      - run: sudo -E env "PATH=$PATH" nexus apply --local --auto-approve
      - run: sudo -E env "PATH=$PATH" nexus plan --local --detailed-exitcode
      - if: always()
        run: sudo -E env "PATH=$PATH" nexus destroy --local --auto-approve
"""
"""State stays on the runner, so what is made there is destroyed there; nothing of it outlives the job."""


def write_recipe(folder: Path) -> None:
    """Write the recipe into a project's folder, unless there is one."""
    path = folder / GITHUB_PATH
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(GITHUB, encoding="utf-8")
