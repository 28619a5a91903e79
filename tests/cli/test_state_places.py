"""A state that a team shares, as the command line shows it: where it is, how it gets there, and what it was before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests import servers
from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine


@pytest.fixture
def terraform() -> Iterator[servers.TerraformServer]:
    with servers.terraform() as server:
        yield server


def test_a_state_moves_to_a_server_and_goes_on_there(nexus: Nexus, terraform: servers.TerraformServer) -> None:
    blocks = "sandboxes: {web: {template: base}}\noutputs: {one: {value: 1}}"
    nexus.write(blocks)
    nexus.ok("apply", "-y")
    nexus.ok("state", "mv", "sandbox.web", "sandbox.other")
    nexus.ok("state", "mv", "sandbox.other", "sandbox.web")
    assert nexus.ok("state", "versions", "--json").json("state-versions")["versions"][0]["serial"] == 2
    older = json.loads(nexus.ok("state", "pull", "--serial", "2").out)
    assert [item["address"] for item in older["resources"]] == ["sandbox.other"]

    with (nexus.folder / "nexus.yaml").open("a") as manifest:
        manifest.write(f"\nstate: {{backend: http, address: '{terraform.address}'}}\n")
    refused = nexus("output", "--json")
    assert refused.code == 1
    assert refused.json("failure")["diagnostics"][0]["code"] == "state-moved"
    migrated = nexus.ok("state", "migrate", "--json").json("state-migrate")
    assert (migrated["copied"], migrated["serial"]) == (True, 3)
    assert "already" in nexus.ok("state", "migrate").out
    nexus.ok("plan", "--detailed-exitcode")
    nexus.ok("destroy", "-y")
    assert not terraform.locks
    assert json.loads(terraform.states["/states/default"])["resources"] == []
    shutil.rmtree(nexus.folder / ".nexus")


def test_nobody_listens_where_the_state_is(nexus: Nexus) -> None:
    nexus.write("state: {backend: s3}")
    refused = nexus("validate", "--json")
    assert [item["code"] for item in refused.json("validate")["diagnostics"]] == ["invalid-state-place"]
