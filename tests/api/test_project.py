"""The Python API: what a program gets that imports nexus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nexus
from nexus.local.daemon import Endpoint

MANIFEST = """\
apiVersion: nexus/v1
project: api
variables:
  code: {type: integer, default: 0}
  words: {type: list, default: []}
sandboxes:
  web:
    template: base
    run_commands: ["exit ${{ vars.code }}"]
outputs:
  id: {value: "${{ sandbox.web.id }}"}
  words: {value: "${{ vars.words }}"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nexus.yaml").write_text(MANIFEST)
    return tmp_path


@pytest.fixture
def on_engine(engine: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(engine.home))


def test_every_name_that_is_offered_is_there() -> None:
    for name in nexus.__all__:
        assert getattr(nexus, name) is not None
    with pytest.raises(AttributeError):
        nexus.nothing  # noqa: B018


def test_importing_nexus_imports_nothing_else() -> None:
    program = "import nexus, sys; sys.exit(any(name.startswith('nexus.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("path", ["", "nexus.yaml"])
def test_a_folder_or_its_manifest_is_loaded(path: str, folder: Path) -> None:
    project = nexus.load(folder / path)
    assert (project.name, project.environment, project.folder) == ("api", "default", folder)
    assert project.warnings == ()


def test_a_wrong_manifest_raises_with_all_that_is_wrong(folder: Path) -> None:
    (folder / "nexus.yaml").write_text(MANIFEST.replace("template:", "tempalte:").replace("run_commands", "runs"))
    with pytest.raises(nexus.ManifestError) as caught:
        nexus.load(folder)
    places = [(item.code, str(item.range)) for item in caught.value.diagnostics]
    assert ("unknown-field", "nexus.yaml:8:5") in places
    assert ("unknown-field", "nexus.yaml:9:5") in places
    assert isinstance(caught.value, nexus.NexusError)


def test_variables_keep_their_types(folder: Path) -> None:
    with pytest.raises(nexus.ManifestError, match="integer"):
        nexus.load(folder, variables={"code": "many"})
    with pytest.raises(nexus.ManifestError, match="nope"):
        nexus.load(folder, variables={"nope": 1})


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
def test_plan_apply_outputs_and_destroy(folder: Path) -> None:
    project = nexus.load(folder, variables={"words": ["a", "b"]}, target="local")
    plan = project.plan()
    assert [str(change.address) for change in plan.changes if change.address.kind == "sandbox"] == ["sandbox.web"]
    refused = project.apply(approve=lambda plan: False)
    assert (refused.approved, project.outputs()) == (False, {})
    seen: list[object] = []
    project.apply(on_event=seen.append)
    try:
        assert seen
        assert project.outputs()["words"] == ["a", "b"]
        assert project.plan().is_empty
        assert project.plan(replace=["sandbox.web"]).summary == {"replace": 1}
    finally:
        project.destroy()
    assert project.outputs() == {}


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
def test_a_failed_apply_raises_and_can_be_continued(folder: Path) -> None:
    with pytest.raises(nexus.ApplyError, match="exit code 4") as caught:
        nexus.load(folder, variables={"code": 4}, target="local").apply()
    assert caught.value.applied.result is not None
    mended = nexus.load(folder, target="local")
    try:
        assert mended.plan().summary == {"update": 1}
        mended.apply()
    finally:
        mended.destroy()
