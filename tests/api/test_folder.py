"""A folder as a program finds it: without a valid manifest, without a target, without more than it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

import nexus
from nexus.api import live
from nexus.model.addresses import Address
from nexus.stores import local_backend
from tests.fakes.records import WEB, make_record

NOTHING: Mapping[str, str] = {}


@pytest.fixture
def shop(tmp_path: Path) -> nexus.Folder:
    """A project that was applied, and whose manifest is broken since."""
    (tmp_path / "nexus.yaml").write_text("project: shop\nsandboxes: [1")
    outputs = {"url": nexus.OutputRecord("http://x")}
    state = nexus.State(lineage="lin", serial=1, project="shop", outputs=outputs)
    backend = local_backend(tmp_path, "default")
    asyncio.run(backend.states.write(state.with_records([make_record(WEB, "u1")]), expected_serial=None))
    return nexus.Folder(tmp_path, process=NOTHING)


def test_it_is_told_where_a_folder_stands(shop: nexus.Folder, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = nexus.Folder(tmp_path_factory.mktemp("empty"), process={"E2B_API_KEY": "e2b_0"})
    assert str(elsewhere.where()) == "e2b (E2B_API_KEY is set), no project"
    assert elsewhere.where().is_billed
    assert str(shop.where()) == "local (E2B_API_KEY is not set), project shop, environment default"
    asked = nexus.Folder(shop.path, target="e2b", process=NOTHING).where()
    assert (asked.target, asked.because) == ("e2b", "it was asked for")
    with pytest.raises(nexus.NexusError, match="no-project"):
        elsewhere.state()
    with pytest.raises(nexus.NexusError, match="no target «mars»"):
        nexus.Folder(shop.path, target="mars")  # type: ignore[arg-type]


def test_what_is_remembered_is_there_whatever_is_wrong_with_the_manifest(shop: nexus.Folder) -> None:
    assert shop.record(WEB) == shop.record("sandbox.web") == shop.state().resources[WEB]
    assert shop.output("url", str) == shop.output_record("url").value == "http://x"
    with pytest.raises(nexus.NexusError, match="not-in-state"):
        shop.record("sandbox.wep")
    with pytest.raises(nexus.NexusError, match="unknown-output"):
        shop.output_record("urk")
    with pytest.raises(ValueError, match="is not an address"):
        shop.record("web")


def test_a_program_may_ask_before_anything_is_forgotten(shop: nexus.Folder) -> None:
    asked: list[str] = []

    def refuse(question: str) -> bool:
        asked.append(question)
        return False

    assert not shop.forget(WEB, confirm=refuse).done
    assert "sandbox.web" in asked[0]
    assert WEB in shop.state().resources
    assert [str(item.address) for item in shop.forget("sandbox.web").removed] == ["sandbox.web"]


def test_a_state_is_taken_out_and_put_back(shop: nexus.Folder) -> None:
    kept = shop.pull()
    shop.move("sandbox.web", "sandbox.site")
    with pytest.raises(nexus.NexusError, match="push-refused"):
        shop.push(kept, name="kept.json")
    pushed = shop.push(kept, force=True)
    assert pushed.done
    assert set(shop.state().resources) == {WEB}
    assert shop.unlock() is None


class Connections:
    """Stands for what is connected to: counts, and knows one sandbox."""

    def __init__(self) -> None:
        self.opened = 0
        self.open = 0
        self.operator = self

    async def __call__(self, choice: object, process: object, *, secrets: object) -> Connections:
        self.opened += 1
        self.open += 1
        return self

    async def aclose(self) -> None:
        self.open -= 1


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    found = Connections()
    monkeypatch.setattr(live, "connect", found)
    return found


async def test_commands_in_a_block_share_a_connection(shop: nexus.Folder, connections: Connections) -> None:
    folder = shop.asynchronous
    web = folder.sandbox("web")
    assert [await web.id(), await web.id()] == ["id-u1", "id-u1"]
    assert connections.opened == 2
    async with folder:
        await asyncio.gather(*(web.id() for _ in range(5)))
        assert (connections.opened, connections.open) == (3, 1)
        with pytest.raises(RuntimeError, match="held already"):
            await folder.__aenter__()
        await folder.forget("sandbox.web")
        with pytest.raises(nexus.NexusError, match="sandbox-not-found"):
            await web.id()
    assert connections.open == 0
    async with folder:
        pass
    assert connections.opened == 3, "what nobody asks is not connected to"


@pytest.mark.parametrize("options", [{"refresh": False, "deep": True}, {"refresh_only": True, "destroy": True}])
def test_options_that_make_no_sense_together_can_not_be_had(options: Mapping[str, bool]) -> None:
    with pytest.raises(ValueError, match="efresh"):
        nexus.PlanOptions(**options)


def test_options_are_given_as_one_value_or_one_by_one(folder: Path) -> None:
    project = nexus.load(folder, target="local")
    with pytest.raises(ValueError, match="no other selection beside"):
        project.plan(options=nexus.PlanOptions(deep=True), targets=["sandbox.web"])
    with pytest.raises(ValueError, match="a sequence of addresses"):
        project.plan(targets="sandbox.web")
    asked = project.run_options("checks", force=True)
    assert asked.run == asked.replace == (Address("step", "checks.hostname"),)
    with pytest.raises(nexus.NexusError, match="unknown-pipeline"):
        project.run_options("check")


def test_another_process_environment_may_stand_for_ones_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_VAR_code", "many")
    project = nexus.load(folder, process={"NEXUS_TARGET": "local", "NEXUS_VAR_code": "3"})
    assert (project.where().target, project.where().because) == ("local", "NEXUS_TARGET")
    with pytest.raises(nexus.ManifestError, match="integer"):
        nexus.load(folder)


@pytest.mark.parametrize(
    ("form", "begins"), [("mermaid", "flowchart"), ("dot", "digraph"), ("svg", "<svg"), ("html", "<!doctype html>")]
)
def test_a_project_is_drawn(form: str, begins: str, folder: Path) -> None:
    picture = nexus.load(folder).picture(form)  # type: ignore[arg-type]
    assert picture.lower().startswith(begins)
    assert "sandbox.web" in picture
    with pytest.raises(ValueError, match="no picture in the format"):
        nexus.load(folder).picture("png")  # type: ignore[arg-type]


def test_manifests_are_laid_out_only_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "nexus.yaml"
    path.write_text("project:    shop\n")
    done = nexus.format_manifests(tmp_path, ["nexus.yaml"])
    assert [item.is_changed for item in done.files.values()] == [True]
    assert path.read_text() == "project:    shop\n"
    nexus.format_manifests(tmp_path, ["nexus.yaml"], write=True)
    assert path.read_text() == nexus.format_text("project:    shop\n").after == "project: shop\n"
