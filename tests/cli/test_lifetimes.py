"""``nexus stop``, ``start``, ``extend`` and ``delete``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from e2b import Sandbox

from nexus.costs import E2B_RATES
from nexus.model.costs import Size
from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine

MANIFEST = """
sandboxes:
  web: {template: base, timeout: 40m}
outputs: {id: {value: '${{ sandbox.web.id }}'}}
"""


@pytest.fixture
def web(nexus: Nexus) -> Nexus:
    nexus.write(MANIFEST)
    nexus.ok("apply", "-y")
    return nexus


def test_a_stopped_sandbox_keeps_what_is_in_it_and_starts_again(web: Nexus) -> None:
    web.ok("exec", "web", "--", "echo kept > note; nohup sleep 27182 >/dev/null 2>&1 &")
    assert web("exec", "web", "--", "exit 3").code == 3
    stopped = web.ok("stop", "web", "--json").json("stop")
    assert (stopped["previous_status"], stopped["current_status"]) == ("running", "paused")
    assert stopped["final_resource_usage"]["total_executions"] == 2
    assert stopped["address"] == "sandbox.web"
    again = web.ok("stop", "web", "--json").json("stop")
    assert (again["previous_status"], again["final_resource_usage"]["total_executions"]) == ("paused", None)
    assert web.ok("stop", "web").out == "web was paused already\n"

    refused = web("exec", "web", "--", "true")
    assert "«nexus start» resumes a paused sandbox" in refused.err

    started = web.ok("start", "web", "--json").json("start")
    assert (started["previous_status"], started["current_status"]) == ("paused", "running")
    assert web.ok("exec", "web", "--", "cat note; pgrep -c -f '[s]leep 27182'").out == "kept\n1\n"
    assert "was running already" in web.ok("start", "web").out


def test_the_usage_told_is_what_was_allocated_at_the_public_rates(web: Nexus, sdk_options: dict[str, Any]) -> None:
    info = Sandbox.get_info(web.ok("output", "--raw", "id").out.strip(), **sdk_options)
    cost = web.ok("stop", "web", "--json").json("stop")["cost"]
    second = float(E2B_RATES.per_second(Size(info.cpu_count, info.memory_mb)))
    assert cost["amount"] == pytest.approx(cost["seconds"] * second, abs=1e-6)
    assert cost["seconds"] > 0
    assert (cost["billed"], cost["rates"]["as_of"]) == (False, E2B_RATES.as_of.isoformat())


def test_what_was_stopped_on_purpose_is_told_as_drift_and_stays_so_until_it_is_needed(web: Nexus) -> None:
    before = web.ok("state", "pull").out
    web.ok("stop", "web")
    assert web.ok("state", "pull").out == before
    (drift,) = web.ok("drift", "--json").json("drift")["drifts"]
    assert (drift["address"], drift["cause"]) == ("sandbox.web", "paused")
    web.ok("apply", "-y")
    assert web.ok("list", "--json").json("list")["stopped_count"] == 1
    manifest = web.folder / "nexus.yaml"
    manifest.write_text(manifest.read_text().replace("timeout: 40m", "timeout: 40m, run_commands: [echo hello]"))
    web.ok("apply", "-y")
    assert web.ok("list", "--json").json("list")["running_count"] == 1


def test_a_started_sandbox_lives_for_its_own_timeout_or_for_what_is_asked(web: Nexus) -> None:
    for arguments, minutes in (([], 40), (["--timeout", "10m"], 10)):
        web.ok("stop", "web")
        web.ok("start", "web", *arguments)
        (item,) = web.ok("list", "--json").json("list")["sandboxes"]
        assert _lifetime(item) == pytest.approx(minutes * 60, abs=60)


def test_an_extended_sandbox_lives_for_so_long_from_now(web: Nexus) -> None:
    extended = web.ok("extend", "web", "2h", "--json").json("extend")
    gained = _time(extended["expires_at"]) - _time(extended["previous_expires_at"])
    assert gained == pytest.approx(timedelta(minutes=80), abs=timedelta(minutes=1))
    assert web.ok("extend", "web", "30m").out.startswith("web: its time ends in ")
    (item,) = web.ok("list", "--json").json("list")["sandboxes"]
    assert _lifetime(item) == pytest.approx(30 * 60, abs=60)
    web.ok("stop", "web")
    refused = web("extend", "web", "1h", "--json")
    assert (refused.code, refused.json("failure")["code"]) == (1, "SANDBOX_NOT_RUNNING")
    assert web("extend", "web", "soon").code == 2


def test_a_deleted_sandbox_is_gone_for_good_and_planned_anew(web: Nexus) -> None:
    web.ok("exec", "web", "--", "true")
    refused = web("delete", "web")
    assert (refused.code, "error[not-approved]" in refused.err) == (1, True)
    (item,) = web.ok("delete", "web", "web", "-y", "--json").json("delete")["sandboxes"]
    assert item["resources_cleaned"]["files_removed"] > 100
    assert item["total_executions"] == 1
    assert item["total_cost"] == item["cost"]["amount"] > 0
    assert web.ok("list", "--json").json("list")["total_count"] == 0
    plan = web("plan", "--json").json("plan")
    assert [(change["address"], change["action"]) for change in plan["changes"]] == [("sandbox.web", "create")]
    gone = web("delete", "web", "-y", "--json")
    assert (gone.code, gone.json("failure")["code"]) == (1, "SANDBOX_NOT_FOUND")


def test_all_means_this_project_paused_ones_included(nexus: Nexus, shared: Nexus, sdk_options: dict[str, Any]) -> None:
    nexus.write("sandboxes: {node: {count: 2, template: base}}\n")
    nexus.ok("apply", "-y")
    nexus.ok("stop", "node[0]")
    stranger = Sandbox.create("base", timeout=120, **sdk_options)
    ran = nexus.ok("delete", "--all", "-y")
    assert ran.out.count("is deleted") == 2
    assert "it would have cost about $0." in ran.out
    assert stranger.is_running()
    assert shared.ok("list", "--json").json("list")["total_count"] == 3
    assert nexus.ok("delete", "--all", "-y").out == "There is no sandbox to delete.\n"
    assert nexus.ok("delete", stranger.sandbox_id, "-y", "--json").json("delete")["success"]


def test_which_to_delete_has_to_be_said_one_way(shared: Nexus) -> None:
    assert shared("delete", "-y").code == 2
    assert shared("delete", "web", "--all", "-y").code == 2


def _lifetime(item: dict[str, Any]) -> float:
    return (_time(item["expires_at"]) - _time(item["created_at"])).total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
