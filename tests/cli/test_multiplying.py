"""``nexus snapshot`` and ``nexus fork``."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from e2b import Sandbox

from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine


@pytest.fixture
def web(nexus: Nexus) -> Nexus:
    nexus.write("sandboxes: {web: {template: base, timeout: 30m}}\noutputs: {id: {value: '${{ sandbox.web.id }}'}}\n")
    nexus.ok("apply", "-y")
    nexus.ok("exec", "web", "--", "echo kept > note")
    return nexus


def test_sandboxes_can_be_made_from_a_snapshot(web: Nexus, sdk_options: dict[str, Any]) -> None:
    name = f"snap-{secrets.token_hex(4)}"
    document = web.ok("snapshot", "web", "--name", name, "--json").json("snapshot")
    assert any(name in full for full in document["names"])
    with Sandbox.create(document["snapshot_id"], timeout=120, **sdk_options) as made:
        assert made.files.read("note") == "kept\n"
        assert made.sandbox_id != document["sandbox_id"]
    unnamed = web.ok("snapshot", "web").out.strip()
    assert Sandbox.delete_snapshot(unnamed, **sdk_options)
    assert Sandbox.delete_snapshot(document["snapshot_id"], **sdk_options)


def test_forks_have_ids_of_their_own_and_no_plan_knows_of_them(web: Nexus) -> None:
    document = web.ok("fork", "web", "--count", "2", "--timeout", "10m", "--json").json("fork")
    ids = [item["sandbox_id"] for item in document["forks"]]
    assert len({*ids, document["source"]}) == 3
    for item in ids:
        assert web.ok("exec", item, "--", "cat note").out == "kept\n"
    assert web("plan", "--detailed-exitcode").code == 0
    web.ok("exec", ids[0], "--", "echo changed > note")
    assert web.ok("exec", "web", "--", "cat note").out == "kept\n"
    assert len(web.ok("delete", *ids, "-y", "--json").json("delete")["sandboxes"]) == 2
    assert web.ok("exec", "web", "--", "cat note").out == "kept\n"
    told = web.ok("fork", "web")
    assert "No plan knows of these" in told.err
    web.ok("delete", told.out.strip(), "-y")


def test_what_is_paused_has_to_be_started_first(web: Nexus) -> None:
    web.ok("stop", "web")
    for command in ("snapshot", "fork"):
        refused = web(command, "web", "--json")
        assert (refused.code, refused.json("failure")["code"]) == (1, "SANDBOX_NOT_RUNNING")
