"""Rules and proxies when the daemon goes and comes again."""

from __future__ import annotations

import json
import socket
import uuid
from pathlib import Path

import pytest
from e2b import CommandExitException, Sandbox, Secret

from nexus.local import daemon
from tests.contents import contents_below
from tests.local.engine_client import rest, sdk
from tests.local.relay.conftest import ECHO
from tests.local.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow]
NAME = "api.example.test"


def test_rules_outlive_the_daemon_and_are_nowhere_in_plain(engine_home: Path) -> None:
    in_rule, in_secret, password = (uuid.uuid4().hex for _ in range(3))
    endpoint = daemon.ensure_running(engine_home, test_controls=True)
    Secret.create("key", in_secret, **sdk(endpoint))
    outside = Sandbox.create(timeout=3000, **sdk(endpoint))
    outside.files.write("/home/user/echo.py", ECHO)
    outside.commands.run("python3 echo.py 8000", background=True)
    outside.commands.run("until curl -s localhost:8000; do sleep 0.05; done")
    with rest(endpoint) as client:
        url = client.post(f"/sandboxes/{outside.sandbox_id}/forwards", json={"port": 8000}).json()["url"]
        address, _, port = url.removeprefix("http://").partition(":")
        client.put("/nexus/names", json={NAME: address}).raise_for_status()
    headers = {"X-Rule": in_rule, "X-Secret": Secret.fill("key")}
    network = {
        "rules": {NAME: [{"transform": {"headers": headers}}]},
        "egress_proxy": {"address": "127.0.0.1:9", "username": "me", "password": password},
    }
    sandbox = Sandbox.create(timeout=3000, network=network, **sdk(endpoint))
    ask = f"curl -sS --max-time 30 http://{NAME}:{port}/"
    assert json.loads(sandbox.commands.run(ask).stdout)["headers"]["x-secret"] == [in_secret]

    daemon.stop(engine_home)
    for path, content in contents_below(engine_home):
        assert not any(value.encode() in content for value in (in_rule, in_secret, password)), path

    endpoint = daemon.ensure_running(engine_home, test_controls=True)
    sandbox = Sandbox.connect(sandbox.sandbox_id, **sdk(endpoint))
    told = json.loads(sandbox.commands.run(ask).stdout)["headers"]
    assert (told["x-rule"], told["x-secret"]) == ([in_rule], [in_secret])
    assert sandbox.get_info().network["rules"][NAME] == [{"transform": {"headers": headers}}]
    with pytest.raises(CommandExitException):
        sandbox.commands.run("curl -sS --max-time 5 http://192.0.2.10/")


def test_while_the_daemon_is_down_its_port_leads_nowhere(engine_home: Path) -> None:
    """Whoever of the host is given the port meanwhile must not be found there by sandboxes."""
    endpoint = daemon.ensure_running(engine_home)
    port = int(endpoint.sandbox_url.rpartition(":")[2])
    sandbox = Sandbox.create(timeout=3000, **sdk(endpoint))
    name = f"8000-{sandbox.sandbox_id}.{sandbox.sandbox_domain}"
    sandbox.commands.run("python3 -m http.server 8000 >/dev/null 2>&1", background=True)
    ask = f"curl -s -o /dev/null -w '%{{http_code}}\\n' --max-time 5 http://{name}/"
    sandbox.commands.run(f"until {ask} | grep -q 200; do sleep 0.05; done")
    sandbox.commands.run(f"while :; do {ask} >>seen; sleep 0.05; done", background=True)
    sandbox.commands.run("until [ -e seen ]; do sleep 0.05; done")

    daemon.stop(engine_home)
    (seen,) = engine_home.glob(f"store/*/up/{sandbox.sandbox_id}/root/u/home/user/seen")
    with socket.create_server(("127.0.0.1", port)) as stranger:
        stranger.setblocking(False)
        asked = len(seen.read_text().split())
        wait_until(lambda: len(seen.read_text().split()) > asked + 3, "it has asked some times")
        with pytest.raises(BlockingIOError):
            stranger.accept()
    assert seen.read_text().split()[-2:] == ["000", "000"]

    endpoint = daemon.ensure_running(engine_home)
    assert int(endpoint.sandbox_url.rpartition(":")[2]) == port
    wait_until(lambda: seen.read_text().split()[-1] == "200", "the name leads to its port again")
