"""Plans that wait, and what an approval is worth: in a file, and beside a state that machines share."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

import nexus
from nexus.cli.main import run
from nexus.controller.approvals import Approval, Approvals
from nexus.controller.places import Places, find_waiting
from nexus.controller.settings import Key
from nexus.model.changes import Effect, FieldDiff, Opening, Opens, Plan
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.values import Fingerprint
from nexus.stores import FileDocument
from tests import servers
from tests.controller.fakes import KEY, WEB, FakeProject, make_plan, who

PROD = Key("shop", "prod")
ME = who("me@here")


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    return Approvals(KEY, FileDocument(tmp_path / "waiting" / "shop" / "dev.json"))


def first_plan(lineage: str, *, size: str = "1", secret: str = "a") -> Plan:
    """Of a project that was never applied, so that its lineage is new each time."""
    fields = (
        FieldDiff(path="metadata.size", before=None, after=size, effect=Effect.REPLACE),
        FieldDiff(path="env_vars.TOKEN", before=None, after=Fingerprint(secret), effect=Effect.REPLACE),
    )
    plan = make_plan(WEB, serial=0, lineage=lineage)
    return replace(plan, changes=tuple(replace(change, fields=fields) for change in plan.changes))


async def test_a_plan_that_says_the_same_keeps_its_digest_and_its_approval(approvals: Approvals) -> None:
    first = await approvals.put(first_plan("one", secret="keyed by one"))
    await approvals.approve(first, ME)
    again = await approvals.put(first_plan("two", secret="keyed by two"))
    assert again.digest == first.digest
    assert again.approval == Approval("me@here", "2026-01-02T03:04:05Z")
    assert await approvals.get() == again


async def test_any_value_that_differs_makes_it_another_plan_that_nobody_approved(approvals: Approvals) -> None:
    first = await approvals.put(first_plan("one"))
    await approvals.approve(first, ME)
    other = await approvals.put(first_plan("two", size="2"))
    assert other.digest != first.digest
    assert other.approval is None
    for late in (first, replace(first, version="")):
        with pytest.raises(DiagnosticsError, match="does not wait any more"):
            await approvals.approve(late, ME)
    assert await approvals.get() == other, "an approval that comes too late changes nothing"
    await approvals.approve(other, ME)
    assert (await approvals.put(first_plan("three", size="2"))).approval is not None
    await approvals.clear()
    assert await approvals.get() is None


async def test_one_plan_is_found_by_what_tells_it_apart(tmp_path: Path) -> None:
    places = Places({"NEXUS_HOME": str(tmp_path)})
    plans = {key: make_plan(WEB, serial=number) for number, key in enumerate((KEY, PROD), 1)}
    dev, prod = [await places.approvals(key, FakeProject()).put(plan) for key, plan in plans.items()]
    assert (await find_waiting(places, tmp_path, "shop", "prod", None))[1] == prod
    assert (await find_waiting(places, tmp_path, None, None, dev.short))[1] == dev
    for unclear in (
        ("shop", None, None),
        ("nope", None, None),
        (None, None, dev.digest[:4]),
        (None, "prod", dev.short),
    ):
        with pytest.raises(DiagnosticsError) as caught:
            await find_waiting(places, tmp_path, *unclear)
        assert f"shop/dev ({dev.short}), shop/prod ({prod.short})" in caught.value.diagnostics[0].detail


async def test_what_waits_is_for_its_owner_alone_and_what_was_altered_waits_no_more(
    approvals: Approvals, tmp_path: Path
) -> None:
    await approvals.put(make_plan(WEB))
    path = tmp_path / "waiting" / "shop" / "dev.json"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.write_text(path.read_text().replace("it is gone", "it is not gone"))
    assert await approvals.get() is None
    path.write_text("[]")
    assert await approvals.get() is None
    assert (await approvals.put(make_plan(WEB))).approval is None, "and another plan takes its place"


class Machine:
    """One of several, with a checkout of a project whose state is on a server that speaks Terraform's protocol."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder / "checkout"
        key = base64.b64encode(bytes(32)).decode()
        self.process = {"NEXUS_HOME": str(folder / "home"), "NEXUS_TARGET": "local", "STATE_KEY": key}
        self.folder.mkdir(parents=True)
        state = {"backend": "http", "address": address, "encryption": {"key": {"env": "STATE_KEY"}}}
        manifest = {"apiVersion": "nexus/v1", "project": "shop", "environments": {"prod": {}}, "state": state}
        (self.folder / "nexus.yaml").write_text(json.dumps(manifest))

    def approvals(self, key: Key) -> Approvals:
        """As a controller on this machine has them."""
        project = nexus.AsyncProject.load(self.folder, environment=key.environment, process=self.process)
        return Places(self.process).approvals(key, project)


async def test_where_the_state_is_shared_any_machine_with_the_project_approves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with servers.terraform() as server:
        one, two = (Machine(tmp_path / name, server.address) for name in ("one", "two"))
        keeping = one.approvals(Key("kept-shop", "prod"))
        opened = Opening(address=WEB, opens=Opens.INTERNET, detail="all of it")
        waiting = await keeping.put(replace(make_plan(WEB), openings=(opened,)))
        found = await find_waiting(Places(two.process), two.folder, "kept-shop", "prod", None)
        assert found[1] == waiting
        with pytest.raises(DiagnosticsError, match="No plan like that"):
            await find_waiting(Places(two.process), tmp_path, "kept-shop", "prod", None)

        for name, value in two.process.items():
            monkeypatch.setenv(name, value)
        await asyncio.to_thread(run, ["-C", str(two.folder), "reconcile", "approve", "--digest", waiting.short])
        told = capsys.readouterr()
        assert "internet  sandbox.web: all of it" in told.out
        assert "Approved: kept-shop/prod" in told.err
        seen = await keeping.get()
        assert seen is not None
        assert seen.approval is not None
        assert "@" in seen.approval.by
        assert b"sandbox.web" not in b"".join(server.states.values()), "it is sealed as the state is"
        assert not (tmp_path / "one" / "home" / "controller").exists(), "nothing of it is in a file"

        await keeping.put(make_plan(WEB, serial=2))
        with pytest.raises(DiagnosticsError, match="does not wait any more"):
            await found[0].approve(found[1], ME)
        after = await keeping.get()
        assert after is not None
        assert after.approval is None
