"""``nexus status`` and ``nexus top``."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.cli.conftest import Nexus
from tests.cli.seats import seated

pytestmark = pytest.mark.engine

MANIFEST = """
secrets:
  token: {env: THE_TOKEN}
sandboxes:
  web:
    template: base
    env_vars: {STAGE: test, TOKEN: "${{ secrets.token }}"}
    network: {deny: [10.0.0.0/8]}
    start_command: sleep 14142
    metadata: {team: data}
    alerts: {memory: 1, disk: 100}
  idle: {template: base}
"""
SECRET = {"THE_TOKEN": "a-seeded-secret"}


@pytest.fixture
def project(nexus: Nexus) -> Nexus:
    nexus.write(MANIFEST)
    nexus.ok("apply", "-y", env=SECRET)
    return nexus


def test_status_tells_all_that_the_reference_names_and_no_value_of_a_variable(project: Nexus) -> None:
    project.ok("exec", "web", "--", "true")
    project("exec", "web", "--", "false")
    sandbox = _measured(project, "web")
    usage, environment = sandbox["resource_usage"], sandbox["environment"]
    assert (sandbox["name"], sandbox["status"], sandbox["start_command"]) == ("web", "running", "sleep 14142")
    assert 0 < usage["memory_percent"] < 100
    assert usage["network_io"]["bytes_sent"] >= 0
    assert {"STAGE", "TOKEN"} <= set(environment["env_names"])
    assert environment["env_vars"] == len(environment["env_names"])
    assert environment["working_directory"] == "/home/user"
    executions = sandbox["executions"]
    assert (executions["total"], executions["successful"], executions["failed"]) == (2, 1, 1)
    assert executions["average_duration"] > 0
    assert sandbox["last_activity"] > sandbox["created_at"]
    assert sandbox["network"] == {"internet": True, "allow": [], "deny": ["10.0.0.0/8"]}
    assert sandbox["metadata"] == {"team": "data"}
    alerts = {alert["measured"]: alert for alert in sandbox["alerts"]}
    assert [alerts[name]["threshold"] for name in ("disk", "memory")] == [100, 1]
    assert all(alert["exceeded"] == (alert["percent"] >= alert["threshold"]) for alert in alerts.values())
    text = project.ok("status", "web", env=SECRET).out
    assert "alert: memory" in text
    assert "2, 1 of them failed" in text
    assert SECRET["THE_TOKEN"] not in text + str(sandbox)


def test_a_paused_sandbox_is_told_of_and_not_woken(project: Nexus) -> None:
    project.ok("stop", "web")
    sandbox = project.ok("status", "web", "--json", env=SECRET).json("status")["sandbox"]
    assert (sandbox["status"], sandbox["executions"], sandbox["environment"]) == ("paused", None, None)
    assert "not while it is paused" in project.ok("status", "web").out
    assert project.ok("list", "--json").json("list")["stopped_count"] == 1


def test_top_looks_once_where_nobody_watches(project: Nexus) -> None:
    _measured(project, "web")
    project.ok("stop", "idle")
    document = project.ok("top", "--json").json("top")
    assert [(item["name"], item["status"]) for item in document["sandboxes"]] == [
        ("web", "running"),
        ("idle", "paused"),
    ]
    assert document["sandboxes"][0]["resource_usage"]["cpus"] > 0
    assert document["sandboxes"][1]["resource_usage"] is None
    lines = project.ok("top").out.splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "CPU", "MEMORY", "DISK", "UPTIME", "ENDS", "IN"]
    assert [line.split()[0] for line in lines[2:]] == ["web", "idle"]


def test_top_goes_on_at_a_terminal_until_it_is_interrupted(project: Nexus) -> None:
    with seated(project, "top", "--interval", "0.5") as seat:
        seat.until("idle")
        project.ok("stop", "idle")
        seat.until("paused")
        seat.process.send_signal(signal.SIGINT)
        assert seat.ended() == 0


def _measured(nexus: Nexus, name: str) -> dict[str, Any]:
    """Its status once it has been measured."""
    deadline = time.monotonic() + 60
    while True:
        sandbox: dict[str, Any] = nexus.ok("status", name, "--json", env=SECRET).json("status")["sandbox"]
        if sandbox["resource_usage"] is not None:
            return sandbox
        assert time.monotonic() < deadline
