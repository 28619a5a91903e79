"""What the commands that change the state say as JSON fits its published schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2b import Sandbox

from tests.cli.conftest import Nexus, check

pytestmark = pytest.mark.engine


def test_what_the_commands_of_the_state_say_fits_the_schemas(nexus: Nexus) -> None:
    nexus.write("sandboxes: {a: {template: base}, b: {template: base}}\nmoved: {sandbox.c: sandbox.a}")
    nexus.ok("apply", "-y")
    assert nexus.ok("state", "mv", "sandbox.b", "sandbox.d", "--json").json("state-change")["moved"] == [
        {"from": "sandbox.b", "to": "sandbox.d"}
    ]
    nexus.ok("state", "mv", "sandbox.d", "sandbox.b")
    live_id = nexus.ok("state", "show", "sandbox.b", "--json").json("record")["id"]
    removed = nexus.ok("state", "rm", "sandbox.b", "--json").json("state-change")["removed"]
    assert removed == [{"address": "sandbox.b", "id": live_id}]
    rebuilt = nexus.ok("state", "rebuild", "--json").json("rebuild")
    assert {"address": "sandbox.b", "id": live_id} in rebuilt["resources"]
    pulled = nexus.ok("state", "pull").json("state")
    (nexus.folder / "pulled.json").write_text(json.dumps({**pulled, "serial": pulled["serial"] + 1}))
    pushed = nexus.ok("state", "push", "pulled.json", "--json").json("state-change")
    assert pushed["serial"] == pulled["serial"] + 1
    assert nexus.ok("state", "unlock", "--force", "--json").json("unlock")["unlocked"] is None
    refused = nexus("state", "rm", "sandbox.nowhere", "--json")
    assert refused.code == 1
    check(refused.json(), "failure")


def test_what_import_says_fits_its_schema(nexus: Nexus, sdk_options: dict[str, Any]) -> None:
    nexus.write("sandboxes: {a: {template: base, timeout: 10m}}")
    nexus.ok("apply", "-y")
    ours = nexus.ok("state", "show", "sandbox.a", "--json").json()["id"]
    refused = nexus("import", "sandbox.a", ours, "--json")
    assert refused.code == 1
    assert refused.json("failure")["diagnostics"][0]["code"] == "already-in-state"
    made = Sandbox.create("nexus-base", timeout=600, **sdk_options)
    nexus.write("sandboxes: {pet: {template: base, timeout: 20m}}")
    (nexus.folder / ".nexus").rename(nexus.folder / "before")
    said = nexus.ok("import", "sandbox.pet", made.sandbox_id, "--json").json("import")
    assert said["differing_fields"] == ["timeout"]
    nexus.ok("apply", "-y")
    nexus.ok("destroy", "-y")
    assert not made.is_running()
    Sandbox.kill(ours, **sdk_options)
