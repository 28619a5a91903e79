"""Failures on purpose as E2B's own client meets them: of the API, of envd, and of sandboxes that end under it."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from e2b import Sandbox
from e2b.exceptions import RateLimitException, SandboxException, TimeoutException
from e2b.sandbox.sandbox_api import SandboxState

from nexus.cli.main import run as main
from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.local.engine_client import faults, is_gone, rest, sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine

CREATE = {"method": "POST", "path": "^/v2/sandboxes$"}
START = {"on": "sandbox", "path": "^/process.Process/Start$"}


def ids(endpoint: Endpoint) -> list[str]:
    return [item.sandbox_id for item in Sandbox.list(**sdk(endpoint)).next_items()]


def test_reset_does_nothing_and_drop_does_it_all(clean_engine: Endpoint) -> None:
    with faults(clean_engine, CREATE | {"action": "reset"}), pytest.raises(httpx.TransportError):
        Sandbox.create(retries=0, **sdk(clean_engine))
    assert ids(clean_engine) == []
    with faults(clean_engine, CREATE | {"action": "drop"}), pytest.raises(httpx.TransportError):
        Sandbox.create(retries=0, **sdk(clean_engine))
    assert len(ids(clean_engine)) == 1


def test_answers_of_the_api_come_with_the_status_and_headers_of_the_rule(clean_engine: Endpoint) -> None:
    rule = CREATE | {"action": "status", "status": 503, "message": "no room", "headers": {"Retry-After": "7"}}
    with faults(clean_engine, rule), rest(clean_engine) as client:
        answer = client.post("/v2/sandboxes", json={"templateID": "base"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.json() == {"code": 503, "message": "no room"}
    assert ids(clean_engine) == []


def test_slow_answers_are_done_later(clean_engine: Endpoint) -> None:
    with faults(clean_engine, {"action": "delay", "ms": 400, "nth": None}), rest(clean_engine) as client:
        started = time.monotonic()
        assert client.get("/v2/sandboxes").status_code == 200
        assert time.monotonic() - started >= 0.4


def test_envd_fails_in_the_ways_the_client_knows(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(**sdk(clean_engine))
    busy = {"on": "sandbox", "path": "^/files$", "action": "status", "status": 429}
    with faults(clean_engine, busy), pytest.raises(RateLimitException):
        sandbox.files.read("/etc/hostname")
    with faults(clean_engine, START | {"action": "status", "status": 502}), pytest.raises(Exception, match=r".+"):
        sandbox.commands.run("touch /tmp/never")
    with faults(clean_engine, START | {"action": "reset", "nth": None}), pytest.raises(Exception, match=r".+"):
        sandbox.commands.run("touch /tmp/never")
    assert sandbox.commands.run("ls /tmp").stdout == ""


def test_lost_answers_of_envd_leave_the_work_done(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(**sdk(clean_engine))
    lost = {"on": "sandbox", "method": "POST", "path": "^/files$", "port": 49983, "action": "drop"}
    with faults(clean_engine, lost), pytest.raises((httpx.TransportError, SandboxException)):
        sandbox.files.write("/tmp/written", "anyway")
    assert sandbox.files.read("/tmp/written") == "anyway"
    with faults(clean_engine, START | {"action": "drop"}), pytest.raises(Exception, match=r".+"):
        sandbox.commands.run("echo ran >> /tmp/ran; sleep 0.1")
    wait_until(lambda: sandbox.files.exists("/tmp/ran"), "the command has run")


def test_sandbox_vanishes_before_a_request_and_in_the_midst_of_one(clean_engine: Endpoint) -> None:
    first, second = (Sandbox.create(**sdk(clean_engine)) for _ in range(2))
    with faults(clean_engine, START | {"action": "vanish"}), pytest.raises(SandboxException):
        first.commands.run("true")
    assert ids(clean_engine) == [second.sandbox_id]
    started = time.monotonic()
    with (
        faults(clean_engine, START | {"action": "vanish", "ms": 300}),
        pytest.raises((SandboxException, TimeoutException)),
    ):
        second.commands.run("sleep 50")
    assert time.monotonic() - started < 40
    assert ids(clean_engine) == []


def test_sandbox_vanishes_when_it_has_just_been_made(clean_engine: Endpoint) -> None:
    with faults(clean_engine, CREATE | {"action": "vanish"}):
        sandbox = Sandbox.create(**sdk(clean_engine))
    wait_until(lambda: is_gone(sandbox), "the sandbox is gone")
    with rest(clean_engine) as client:
        assert client.get(f"/sandboxes/{sandbox.sandbox_id}").status_code == 404


def test_expired_sandboxes_end_as_their_lifecycle_says(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    killed = Sandbox.create(**options)
    paused = Sandbox.create(lifecycle={"on_timeout": "pause"}, **options)
    with faults(clean_engine, {"path": "^/sandboxes/i", "action": "expire", "nth": None}):
        with pytest.raises(SandboxException):
            killed.set_timeout(100)
        assert paused.get_info().state == SandboxState.PAUSED


def test_rules_are_shown_with_what_they_did_and_mistakes_are_told(clean_engine: Endpoint) -> None:
    with faults(clean_engine, {"path": "^/teams", "action": "status", "nth": 2}), rest(clean_engine) as client:
        for _ in range(3):
            client.get("/teams")
        [shown] = client.get("/nexus/faults").json()["rules"]
        assert (shown["matched"], shown["struck"]) == (3, 1)
        assert client.get("/nexus/status").json()["faults"] == {"rules": 1, "struck": 1}
        refused = client.post("/nexus/faults", json=[{"action": "status"}, {"action": "explode"}])
        assert refused.status_code == 400
        assert refused.json()["message"].startswith("[1].action: must be one of status")
        assert len(client.get("/nexus/faults").json()["rules"]) == 1
    assert "faults" not in (daemon.status(clean_engine.home) or {})


def test_commands_set_show_and_clear_the_rules_of_a_file(
    clean_engine: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(clean_engine.home))
    file = tmp_path / "faults.yaml"

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["local", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    file.write_text("rules:\n  - path: ^/nowhere\n    action: status\n    status: 999\n", encoding="utf-8")
    code, output = run("faults", "set", str(file))
    assert code != 0
    assert "faults.yaml:4" in output
    assert "rules[0].status: must be a whole number between 400 and 599" in output
    file.write_text("seed: 1\nrules:\n  - path: ^/nowhere\n    action: status\n    status: 503\n", encoding="utf-8")
    assert run("start", "--faults", str(file), "--limits", "pro")[0] == 0
    try:
        with rest(clean_engine) as client:
            assert client.get("/nowhere").status_code == 503
            assert client.get("/nexus/limits").json()["tier"] == "pro"
        assert "api * ^/nowhere: status 503 — struck 1 of 1" in run("faults", "show")[1]
        assert "1 rules, 1 struck" in run("status")[1]
        assert run("faults", "clear")[0] == 0
        assert "There are no faults." in run("faults", "show")[1]
    finally:
        run("start", "--limits", "none")
        run("faults", "clear")
