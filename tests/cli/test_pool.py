"""``nexus pool``: what it prints, and what it says when there is nothing to take."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine

MANIFEST = """
sandboxes:
  agent: {template: base, timeout: 30m, pool: 1, ports: {tasks: 7000}}
  web: {template: base, timeout: 30m, when: false}
"""


def test_one_is_taken_listed_used_and_released(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    empty = nexus("pool", "take", "agent")
    assert empty.code == 1
    assert "error[pool-empty]: No sandbox of sandbox.agent stands ready" in empty.err
    taken = nexus.ok("pool", "take", "agent", "--create", "--timeout", "10m", "--for", "a page", "--json").json(
        "pool-take"
    )
    sandbox_id = taken["sandbox_id"]
    assert taken["address"] == f'sandbox.agent["taken-{sandbox_id}"]'
    assert (taken["taken"]["place"], taken["taken"]["purpose"], taken["ready"]) == ("0", "a page", 0)
    assert taken["urls"]["tasks"].startswith("http")

    (pool,) = nexus.ok("pool", "list", "--json").json("pool-list")["pools"]
    assert (pool["address"], pool["size"], pool["ready"], pool["members"]) == ("sandbox.agent", 1, 0, [])
    assert [(item["sandbox_id"], item["taken"]["purpose"]) for item in pool["taken"]] == [(sandbox_id, "a page")]
    shown = nexus.ok("pool", "list").out
    assert "sandbox.agent  0 of 1 ready" in shown
    assert f"taken    {sandbox_id}" in shown
    assert nexus.ok("exec", sandbox_id, "--", "echo mine").out == "mine\n"
    assert sandbox_id in nexus.ok("state", "show", f"sandbox.agent[taken-{sandbox_id}]", "--json").json("record")["id"]

    nexus.ok("apply", "-y")
    listed = nexus.ok("list", "--json").json("list")["sandboxes"]
    assert {item["address"] for item in listed} == {'sandbox.agent["0"]', taken["address"]}
    not_taken = nexus("pool", "release", "agent[0]")
    assert (not_taken.code, "error[not-taken]" in not_taken.err) == (1, True)
    ended = nexus.ok("pool", "release", sandbox_id, "--json").json("pool-release")
    assert ended["address"] == taken["address"]
    assert "error[not-taken]" in nexus("pool", "release", sandbox_id).err
    nexus.ok("plan", "--detailed-exitcode")

    last = nexus.ok("pool", "take", "agent").out
    assert "Of its pool, 0 more stand ready." in last
    assert "leads to its port tasks" in last


def test_only_pools_can_be_taken_from(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    ran = nexus("pool", "take", "agnet")
    assert ran.code == 1
    assert "error[unknown-pool]: The project has no pool «agnet»" in ran.err
    assert "did you mean «agent»?" in ran.err
    assert nexus("pool", "take", "web").code == 1
