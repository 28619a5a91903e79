"""``nexus init``: what a new project gets of an example."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.cli.main import run

MANIFEST = "apiVersion: nexus/v1\nproject: demo\nsandboxes: {web: {uploads: [{source: ./app/, path: /srv}]}}\n"


def test_what_python_compiled_when_it_was_installed_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = tmp_path / "examples" / "demo"
    (example / "app" / "__pycache__").mkdir(parents=True)
    (example / "nexus.yaml").write_text(MANIFEST)
    (example / "app" / "server.py").write_text("pass\n")
    (example / "app" / "__pycache__" / "server.cpython-311.pyc").write_bytes(b"\0")
    monkeypatch.setattr("nexus.cli.init._examples", lambda: [example])
    assert run(["-C", str(tmp_path / "new"), "init", "demo"]) == 0
    assert [path.name for path in sorted((tmp_path / "new" / "app").rglob("*"))] == ["server.py"]


def test_all_that_is_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "new"
    assert run(["-C", str(project), "init", "quickstart"]) == 0
    told = capsys.readouterr().out.splitlines()[0].partition(f" in {project}: ")[2].split(", ")
    assert told == [".github/workflows/nexus.yml", ".gitignore", "app", "nexus.yaml"]
    assert all((project / name).exists() for name in told)
    (project / "nexus.yaml").unlink()
    (project / "app" / "server.py").unlink()
    assert run(["-C", str(project), "init", "quickstart"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(": app, nexus.yaml")
