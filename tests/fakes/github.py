"""GitHub as the scripts of workflows see it: its command line, and the files that a job leaves for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GH = """\
#!{python}
import json, pathlib, re, sys
store = pathlib.Path({store!r})
comments = json.loads(store.read_text()) if store.exists() else []
arguments = sys.argv[1:]
path = next(item for item in arguments if item.startswith("repos/"))
if "--jq" in arguments:
    marker = re.search(r'startswith\\("(.*?)"\\)', arguments[arguments.index("--jq") + 1])[1]
    print(*[item["id"] for item in comments if item["body"].startswith(marker)], sep="\\n")
    sys.exit()
body = pathlib.Path(arguments[arguments.index("-F") + 1].removeprefix("body=@")).read_text()
if "PATCH" in arguments:
    [known] = [item for item in comments if path.endswith(f"/comments/{{item['id']}}")]
    known["body"] = body
else:
    comments.append({{"id": len(comments) + 1, "body": body}})
store.write_text(json.dumps(comments))
"""
"""Three calls of the API, on comments in a file."""


@dataclass(frozen=True)
class Job:
    """A runner's folder for what is temporary, and the programs on its path."""

    folder: Path

    @classmethod
    def begin(cls, folder: Path) -> Job:
        job = cls(folder)
        job.programs.mkdir(parents=True)
        job.program("nexus", f'#!/bin/sh\nexec "{sys.executable}" -P -m nexus "$@"\n')
        job.program("python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        job.program("gh", _GH.format(python=sys.executable, store=str(folder / "comments.json")))
        return job

    @property
    def programs(self) -> Path:
        return self.folder / "programs"

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """The variables that a step is given."""
        files = {name: str(self.folder / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        path = f"{self.programs}:{os.environ['PATH']}"
        return {"PATH": path, "RUNNER_TEMP": str(self.folder), "GITHUB_REPOSITORY": "o/r", **files}

    def comments(self) -> list[dict[str, Any]]:
        """What is written below the pull request."""
        found: list[dict[str, Any]] = json.loads((self.folder / "comments.json").read_text())
        return found

    def outputs(self) -> dict[str, str]:
        """Of all steps so far; the last one wins."""
        lines = (self.folder / "GITHUB_OUTPUT").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def summary(self) -> str:
        return (self.folder / "GITHUB_STEP_SUMMARY").read_text()


def bash(script: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A script as GitHub runs it where ``shell: bash`` is said."""
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(
        command, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=180, check=False
    )
