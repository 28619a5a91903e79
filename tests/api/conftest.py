"""A folder with a project, on the session's engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

import nexus
from nexus.local.daemon import Endpoint

MANIFEST = """\
apiVersion: nexus/v1
project: {name}
variables:
  code: {{type: integer, default: 0}}
  words: {{type: list, default: []}}
sandboxes:
  web:
    template: base
    run_commands: ["exit ${{{{ vars.code }}}}"]
    start_command: python3 -u -m http.server 8000 --directory /etc
    ready: {{port: 8000}}
    ports: {{http: 8000}}
outputs:
  id: {{value: "${{{{ sandbox.web.id }}}}"}}
  url: {{value: "${{{{ sandbox.web.urls.http }}}}"}}
  words: {{value: "${{{{ vars.words }}}}"}}
pipelines:
  checks:
    steps:
      hostname: {{sandbox: web, on: manual, run: hostname}}
"""


def write_manifest(folder: Path) -> Path:
    """Under a project's name that no other test has."""
    (folder / "nexus.yaml").write_text(MANIFEST.format(name=f"api-{secrets.token_hex(4)}"))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_manifest(tmp_path)


@pytest.fixture
def on_engine(engine: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(engine.home))


@pytest.fixture(scope="module")
def applied(engine: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[nexus.Project]:
    """A project that is applied already. A test leaves its sandbox running, and the project without changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXUS_HOME", str(engine.home))
        project = nexus.load(write_manifest(tmp_path_factory.mktemp("project")), target="local")
        project.apply()
        yield project
        project.destroy()
