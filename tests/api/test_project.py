"""The Python API: what a program gets that imports nexus."""

from __future__ import annotations

import asyncio
import operator
import subprocess
import sys
from pathlib import Path

import pytest

import nexus
from nexus.api import names
from nexus.api.outputs import typed_output
from nexus.model.state import OutputRecord, State, Target
from nexus.model.values import Value


def test_every_name_that_is_offered_is_there() -> None:
    for name in nexus.__all__:
        assert getattr(nexus, name) is not None
    assert set(nexus.__all__) == {*names.__all__, "__version__"}
    offered: dict[str, object] = {}
    exec("from nexus import *", offered)
    assert offered.keys() >= set(nexus.__all__)
    assert not hasattr(nexus, "no_such_room")
    with pytest.raises(AttributeError):
        nexus.nothing  # noqa: B018


def test_importing_nexus_imports_nothing_else() -> None:
    program = "import nexus, sys; sys.exit(any(name.startswith('nexus.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("path", ["", "nexus.yaml"])
def test_a_folder_or_its_manifest_is_loaded(path: str, folder: Path) -> None:
    project = nexus.load(folder / path)
    assert project.name.startswith("api-")
    assert (project.environment, project.folder) == ("default", folder)
    assert project.addresses == ("sandbox.web", "step.checks.hostname")
    assert project.warnings == ()


def test_a_wrong_manifest_raises_with_all_that_is_wrong(folder: Path) -> None:
    path = folder / "nexus.yaml"
    path.write_text(path.read_text().replace("template:", "tempalte:").replace("run_commands", "runs"))
    with pytest.raises(nexus.ManifestError) as caught:
        nexus.load(folder)
    places = [(item.code, str(item.range)) for item in caught.value.diagnostics]
    assert ("unknown-field", "nexus.yaml:8:5") in places
    assert ("unknown-field", "nexus.yaml:9:5") in places
    assert isinstance(caught.value, nexus.NexusError)
    assert nexus.validate(folder) == caught.value.diagnostics


def test_a_loaded_project_validates_what_is_on_disk_by_now(folder: Path) -> None:
    project = nexus.load(folder)
    assert project.validate() == ()
    (folder / "nexus.yaml").write_text("apiVersion: nexus/v1\n")
    assert "missing-field" in {item.code for item in project.validate()}


def test_variables_keep_their_types(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(nexus.ManifestError, match="integer"):
        nexus.load(folder, variables={"code": "many"})
    with pytest.raises(nexus.ManifestError, match="nope"):
        nexus.load(folder, variables={"nope": 1})
    (tmp_path / "vars.yaml").write_text("code: many")
    with pytest.raises(nexus.ManifestError, match="integer"):
        nexus.load(folder, variable_files=[tmp_path / "vars.yaml"])


def test_a_plan_brings_its_own_values(folder: Path) -> None:
    values: dict[str, Value] = {"code": 7, "words": []}
    plan = nexus.Plan(
        project="p", environment="other", target=Target("local"), lineage="", base_serial=0, variables=values
    )
    assert nexus.load(folder, plan=plan).environment == "other"
    with pytest.raises(ValueError, match="no others beside it"):
        nexus.load(folder, plan=plan, variables={"code": 8})


def test_there_are_two_targets(folder: Path) -> None:
    with pytest.raises(nexus.NexusError, match="no target «mars»"):
        nexus.load(folder, target="mars")  # type: ignore[arg-type]


def test_an_instance_has_a_state_of_its_own(folder: Path, tmp_path: Path) -> None:
    project = nexus.load(folder, instance="one", state_folder=tmp_path / "elsewhere")
    assert project.environment == "default-one"
    assert project.outputs() == {}
    assert not (folder / ".nexus").exists()


async def test_waiting_in_an_event_loop_is_refused_and_names_the_other_face(folder: Path) -> None:
    project = nexus.load(folder)
    with pytest.raises(RuntimeError, match=r"Project.plan .* project\.asynchronous\.plan"):
        project.plan()
    with pytest.raises(RuntimeError, match=r"SandboxHandle.follow_logs "):
        next(project.sandbox("web").follow_logs())
    assert await project.asynchronous.outputs() == {}


def test_both_faces_offer_the_same() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    for_event_loops = {"applying", "destroying", "running", "promoting", "lock_beside", "document_beside"}
    assert public(nexus.AsyncProject) - for_event_loops - {"load"} == public(nexus.Project) - {"asynchronous"}
    handle = public(nexus.AsyncSandboxHandle) - {"sync_e2b", "terminal"}
    assert handle == public(nexus.SandboxHandle) - {"asynchronous"}
    assert public(nexus.AsyncFolder) == public(nexus.Folder) - {"asynchronous"}
    assert public(nexus.AsyncAccount) == public(nexus.Account) - {"asynchronous"}


COUNTERPARTS = {
    "validate": "Project.validate",
    "fmt": "format_manifests",
    "plan": "Project.plan",
    "drift": "Project.drift",
    "apply": "Project.apply",
    "run": "Project.run",
    "runs": "Project.runs",
    "history": "Project.history",
    "rollback": "Project.at",
    "promote": "Project.promote",
    "destroy": "Project.destroy",
    "lock": "Project.lock",
    "pool": "Project.take",
    "env": "Project.compare",
    "output": "Project.outputs",
    "show": "read_plan",
    "graph": "Project.picture",
    "state": "Project.state",
    "import": "Project.import_sandbox",
    "list": "Project.list",
    "status": "SandboxHandle.status",
    "top": "Project.usage",
    "exec": "SandboxHandle.exec",
    "logs": "SandboxHandle.follow_logs",
    "shell": "AsyncSandboxHandle.terminal",
    "upload": "SandboxHandle.upload",
    "download": "SandboxHandle.download",
    "configure": "SandboxHandle.configure",
    "stop": "SandboxHandle.stop",
    "start": "SandboxHandle.start",
    "extend": "SandboxHandle.extend",
    "delete": "SandboxHandle.delete",
    "snapshot": "SandboxHandle.snapshot",
    "fork": "SandboxHandle.fork",
}
FOR_PEOPLE = {"completion", "init", "explain", "doctor", "local", "mcp", "reconcile", "version"}
"""Examples, pages, the machine, a program of its own, another way in: no part of what a program asks of a project."""


def test_what_a_command_does_a_program_can_do() -> None:
    from nexus.cli.main import COMMANDS

    assert set(COMMANDS) - FOR_PEOPLE <= COUNTERPARTS.keys()
    for name in COUNTERPARTS.values():
        assert callable(operator.attrgetter(name)(nexus)), name


def test_a_program_under_strict_type_checks_gets_full_types(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import e2b\n"
        "import nexus\n"
        "project = nexus.load('.')\n"
        "plan: nexus.Plan = project.plan(targets=['sandbox.web'])\n"
        "applied: nexus.Applied = project.apply(plan, on_event=lambda event: None)\n"
        "ran: nexus.Executed = project.sandbox('web').exec('print(1)', language='python')\n"
        "sandbox: e2b.Sandbox = project.sandbox('web').e2b()\n"
        "url: str = project.output('url', str)\n"
        "project.plan(nope=1)\n"
        "project.sandbox('web').extend('1h')\n"
    )
    root = Path(nexus.__file__).parents[1]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", root / ".mypy_cache", tmp_path / "program.py"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line.partition(": ")[0].rpartition(":")[2] for line in checked.stdout.splitlines() if ": error: " in line]
    assert errors == ["9", "10"], checked.stdout


@pytest.mark.parametrize(
    ("value", "kind"), [("a", str), (True, bool), (3, int), (3, float), ([1], list), ({"a": 1}, dict)]
)
def test_an_output_has_the_type_that_it_is_asked_for(value: nexus.Json, kind: type) -> None:
    state = State(lineage="", outputs={"it": OutputRecord(value)})  # type: ignore[arg-type]
    assert typed_output(state, "it", kind) == value


@pytest.mark.parametrize(("value", "kind"), [("3", int), (True, int), (3, bool), (None, str)])
def test_an_output_of_another_type_is_an_error(value: nexus.Json, kind: type) -> None:
    with pytest.raises(nexus.NexusError, match="output-type"):
        typed_output(State(lineage="", outputs={"it": OutputRecord(value)}), "it", kind)


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
def test_plan_apply_outputs_and_destroy(folder: Path) -> None:
    project = nexus.load(folder, variables={"words": ["a", "b"]}, target="local")
    plan = project.plan()
    assert [str(change.address) for change in plan.changes if change.address.kind == "sandbox"] == ["sandbox.web"]
    refused = project.apply(approve=lambda plan: False)
    assert (refused.approved, project.outputs()) == (False, {})
    seen: list[nexus.Event] = []
    project.apply(plan, on_event=seen.append)
    try:
        assert isinstance(seen[-1], nexus.ApplyFinished)
        assert project.outputs()["words"] == project.output("words", list) == ["a", "b"]
        assert project.plan().is_empty
        assert project.plan(replace=["sandbox.web"]).summary == {"replace": 1}
        with pytest.raises(nexus.StalePlanError) as caught:
            project.apply(plan)
        assert any("sandbox.web: create" in text for text in caught.value.differences)
        with pytest.raises(ValueError, match="applied as it is"):
            project.apply(plan, targets=["sandbox.web"])
        nexus.save_plan(project.plan(destroy=True), folder / "down.plan")
        with pytest.raises(nexus.StalePlanError, match="not what would be done now") as caught:
            nexus.load(folder, target="local").apply(nexus.read_plan(folder / "down.plan"))
        assert caught.value.differences == ("Variables have other values: words.",)
    finally:
        down = nexus.read_plan(folder / "down.plan")
        nexus.load(folder, target="local", plan=down).apply(down)
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


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
async def test_an_apply_that_was_cancelled_or_interrupted_is_continued(folder: Path) -> None:
    project = nexus.AsyncProject.load(folder, target="local")
    begun = asyncio.Event()

    def listen(event: nexus.Event) -> None:
        if isinstance(event, nexus.OperationStarted):
            begun.set()

    cancelled = asyncio.create_task(project.apply(on_event=listen))
    await begun.wait()
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert cancelled.cancelled()
    try:
        async with project.applying() as ongoing:
            ongoing.interrupt()
            with pytest.raises(nexus.ApplyError, match="interrupted before all was done"):
                await ongoing.result()
        await project.apply()
        assert (await project.list()).total == 1
    finally:
        await project.destroy()
    assert (await project.list()).total == 0


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
async def test_two_instances_are_applied_at_once_in_one_event_loop(folder: Path, tmp_path: Path) -> None:
    projects = [
        nexus.AsyncProject.load(folder, target="local", instance=name, state_folder=tmp_path / "states")
        for name in ("one", "two")
    ]
    try:
        await asyncio.gather(*(project.apply() for project in projects))
        ids = [await project.output("id", str) for project in projects]
        assert len(set(ids)) == 2
        assert [item.id for item in (await projects[0].list()).sandboxes] == [ids[0]]
    finally:
        await asyncio.gather(*(project.destroy() for project in projects))
    assert not (folder / ".nexus").exists()
