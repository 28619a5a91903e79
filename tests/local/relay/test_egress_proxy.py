"""Egress proxies: what leaves a sandbox goes through a SOCKS5 server, as the official SDK asks for it."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import CommandExitException, Sandbox

from tests.local.engine_client import rest
from tests.local.relay.conftest import World, certificate_for
from tests.local.relay.socks_server import SocksServer, running

pytestmark = pytest.mark.engine

# Of a range for documentation: nobody is there, so only the proxy can make it answer.
FAR, FAR_NAME = "192.0.2.10", "far.example.test"


@pytest.fixture(scope="module")
def far(world: World) -> Iterator[World]:
    """The world, with a name for an address that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((FAR, 9))
        except OSError:
            pytest.skip("this host has no route outside")
    with rest(world.endpoint) as client:
        client.put("/nexus/names", json={**world.addresses, FAR_NAME: FAR}).raise_for_status()
    return world


@pytest.fixture
def proxy(world: World) -> Iterator[SocksServer]:
    with running(SocksServer(_server_of(world), login=("me", "pass-4711"))) as server:
        yield server


def _server_of(world: World) -> tuple[str, int]:
    """Where the plain web server of the world is, for this host."""
    with rest(world.endpoint) as client:
        url = client.post(f"/sandboxes/{world.outside.sandbox_id}/forwards", json={"port": 8000}).json()["url"]
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def through(proxy: SocksServer, **more: Any) -> dict[str, Any]:
    login = {"username": "me", "password": "pass-4711"}
    return {"egress_proxy": {"address": f"127.0.0.1:{proxy.port}", **login, **more}}


def fetch(sandbox: Sandbox, url: str) -> dict[str, Any]:
    found = json.loads(sandbox.commands.run(f"curl -sS --max-time 30 {url}").stdout)
    assert isinstance(found, dict)
    return found


def test_connections_go_through_the_proxy(far: World, proxy: SocksServer) -> None:
    sandbox = far.sandbox(network=through(proxy))
    assert fetch(sandbox, f"http://{FAR}/x")["path"] == "/x"
    assert fetch(sandbox, f"http://{FAR_NAME}:8081/y")["headers"]["host"] == [f"{FAR_NAME}:8081"]
    assert proxy.asked == [(FAR, 80), (FAR, 8081)]
    assert proxy.logins[0] == ("me", "pass-4711")
    sandbox.kill()


def test_names_that_are_allowed_are_resolved_by_the_proxy(far: World, proxy: SocksServer) -> None:
    network = {"deny_out": ["0.0.0.0/0"], "allow_out": [FAR_NAME], **through(proxy)}
    sandbox = far.sandbox(network=network)
    fetch(sandbox, f"http://{FAR_NAME}/")
    assert proxy.asked == [(FAR_NAME, 80)]
    with pytest.raises(CommandExitException):
        fetch(sandbox, "http://192.0.2.11/")
    assert len(proxy.asked) == 1
    sandbox.kill()


def test_rules_hold_before_the_proxy(far: World, proxy: SocksServer) -> None:
    rules = {FAR_NAME: [{"transform": {"headers": {"X-Rule": "yes"}}}]}
    sandbox = far.sandbox(network={"rules": rules, **through(proxy)})
    assert fetch(sandbox, f"http://{FAR_NAME}/")["headers"]["x-rule"] == ["yes"]
    assert proxy.asked == [(FAR, 80)]
    sandbox.kill()


def test_a_proxy_may_speak_tls(far: World, tmp_path: Path) -> None:
    pem = certificate_for("proxy.example.test")
    (tmp_path / "proxy.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "proxy.pem")
    ca_cert = pem[pem.index(b"-----BEGIN CERTIFICATE") :].decode()
    with running(SocksServer(_server_of(far), tls=context)) as proxy:
        tls = {"server_name": "proxy.example.test", "ca_cert": ca_cert}
        sandbox = far.sandbox(network=through(proxy, tls=tls))
        assert fetch(sandbox, f"http://{FAR}/")["method"] == "GET"
        shown = sandbox.get_info().network
        assert shown["egress_proxy"]["tls"] == {"server_name": "proxy.example.test"}
        assert "-----BEGIN" not in json.dumps(shown)
        sandbox.update_network(through(proxy, tls=True))
        with pytest.raises(CommandExitException):
            fetch(sandbox, f"http://{FAR}/")
        sandbox.kill()


def test_a_proxy_that_refuses_breaks_connections(far: World, proxy: SocksServer) -> None:
    sandbox = far.sandbox(network=through(proxy, password="wrong-4712"))
    with pytest.raises(CommandExitException) as failed:
        fetch(sandbox, f"http://{FAR}/")
    assert "wrong-4712" not in failed.value.stderr
    assert proxy.asked == []
    sandbox.kill()


def test_passwords_are_not_shown(far: World, proxy: SocksServer) -> None:
    sandbox = far.sandbox(network=through(proxy))
    with rest(far.endpoint) as client:
        shown = client.get(f"/sandboxes/{sandbox.sandbox_id}").text
    assert "pass-4711" not in shown
    assert sandbox.get_info().network["egress_proxy"] == {"address": f"127.0.0.1:{proxy.port}", "username": "me"}
    sandbox.kill()


def test_updates_replace_the_proxy(far: World, proxy: SocksServer) -> None:
    sandbox = far.sandbox()
    sandbox.update_network(through(proxy))
    fetch(sandbox, f"http://{FAR}/")
    sandbox.update_network({"deny_out": ["10.0.0.0/8"]})
    assert "egress_proxy" not in sandbox.get_info().network
    with pytest.raises(CommandExitException):
        sandbox.commands.run(f"curl -sS --max-time 1 http://{FAR}/")
    assert len(proxy.asked) == 1
    sandbox.kill()


def test_forwards_of_the_engine_do_not_go_through_it(far: World, proxy: SocksServer) -> None:
    sandbox = far.sandbox(network=through(proxy))
    host, port = _server_of(far)
    assert fetch(sandbox, f"http://{host}:{port}/")["method"] == "GET"
    assert proxy.asked == []
    sandbox.kill()
