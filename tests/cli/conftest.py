"""The command line as a process of its own, on the session's engine."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nexus.local.daemon import Endpoint
from tests.processes import start

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self, schema: str | None = None) -> Any:
        """The one document on stdout, which has to fit its published schema."""
        document = json.loads(self.out)
        if schema is not None:
            check(document, schema)
        return document


def check(document: Any, schema: str) -> None:
    jsonschema.validate(document, json.loads((ROOT / "schemas" / f"{schema}.schema.json").read_text()))


@dataclass(frozen=True)
class Nexus:
    """nexus in a folder, with an environment that has nothing of the caller's targets and keys.

    Called, it runs in a process forked from a warm one; ``command`` is for tests that start ``python -m nexus`` itself.
    """

    folder: Path
    home: Path

    def __call__(self, *arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Ran:
        environment = self.environment(env or {})
        if stdin is None:
            outcome = start(arguments, environment, partial(os.chdir, self.folder)).wait(180)
            return Ran(outcome.code, outcome.stdout, outcome.stderr)
        command = self.command(*arguments)
        done = subprocess.run(
            command, cwd=self.folder, env=environment, input=stdin, capture_output=True, text=True, timeout=180
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Ran:
        ran = self(*arguments, stdin=stdin, env=env)
        assert ran.code == 0, f"{arguments}: exit code {ran.code}\n{ran.out}\n{ran.err}"
        return ran

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "nexus", *arguments]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("E2B_", "NEXUS_", "COV"))}
        return {**own, "PYTHONPATH": str(ROOT), "NEXUS_HOME": str(self.home), **more}

    def write(self, text: str) -> None:
        """A manifest, under a project's name that no other test has."""
        name = f"cli-{secrets.token_hex(4)}"
        (self.folder / "nexus.yaml").write_text(f"apiVersion: nexus/v1\nproject: {name}\n{text}")


@pytest.fixture
def nexus(engine: Endpoint, tmp_path: Path) -> Iterator[Nexus]:
    """In an empty folder; what its project made is deleted afterwards."""
    cli = Nexus(tmp_path, engine.home)
    yield cli
    if (tmp_path / ".nexus").exists():
        cli.ok("destroy", "-y")


@pytest.fixture(scope="module")
def shared(engine: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nexus]:
    """A project that is applied already, for tests that change nothing of it."""
    cli = Nexus(tmp_path_factory.mktemp("project"), engine.home)
    cli.write(
        """
secrets:
  token: {env: THE_TOKEN}
sandboxes:
  web:
    template: base
    env_vars: {STAGE: test, TOKEN: "${{ secrets.token }}"}
    run_commands: [echo hello from web]
  worker:
    count: 2
    template: base
outputs:
  web: {value: "${{ sandbox.web.id }}", description: Its id}
  token: {value: "${{ secrets.token }}"}
"""
    )
    cli.ok("apply", "-y", env={"THE_TOKEN": "a-seeded-secret"})
    yield cli
    cli.ok("destroy", "-y")
