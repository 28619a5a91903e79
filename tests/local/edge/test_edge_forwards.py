"""Forwards: one loopback address for each port of each sandbox."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import httpx
import pytest

from nexus.local.edge import ForwardTable, Ingress, OpenStreams
from tests.local.edge.servers import dump, serving, switch
from tests.local.envd.harness import Cloud


@pytest.fixture
def forward_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.77.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def forwards(cloud: Cloud, forward_port: int) -> Iterator[ForwardTable]:
    table = ForwardTable(cloud.directory, OpenStreams(), port=forward_port, guarded=cloud.edge.serve)
    yield table
    cloud.thread.run(table.shutdown())


def test_a_forward_reaches_its_port_and_is_made_once(cloud: Cloud, forwards: ForwardTable) -> None:
    with serving(cloud, dump) as port:
        forward = cloud.thread.run(forwards.open("ibox", port))
        assert cloud.thread.run(forwards.open("ibox", port)) == forward
        assert cloud.thread.run(forwards.open("iother", port)).address != forward.address
        assert forward.address.startswith("127.77.")
        url = forwards.url(forward)
        assert f"Host: {url.removeprefix('http://')}" in httpx.get(f"{url}/path").text.replace("host:", "Host:")


def test_any_protocol_passes_a_forward(cloud: Cloud, forwards: ForwardTable, forward_port: int) -> None:
    with serving(cloud, switch) as port:
        forward = cloud.thread.run(forwards.open("ibox", port))
        with socket.create_connection((forward.address, forward_port)) as connection:
            connection.sendall(b"upgrade: websocket\r\n\r\n")
            assert connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 101"
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while data := connection.recv(1000):
                received += data
            assert received.endswith(b";bye")


def test_a_gone_sandbox_and_a_closed_port_are_told_in_http(cloud: Cloud, forwards: ForwardTable) -> None:
    with serving(cloud, dump) as port:
        forward = cloud.thread.run(forwards.open("iother", port))
        assert httpx.get(forwards.url(forward)).status_code == 200
        cloud.kill("iother")
        gone = httpx.get(forwards.url(forward))
    assert (gone.status_code, gone.json()["message"]) == (502, "The sandbox was not found")
    closed = httpx.get(forwards.url(cloud.thread.run(forwards.open("ibox", port))))
    assert closed.json()["message"] == "The sandbox is running but port is not open"


def test_recorded_forwards_open_again_at_the_same_address(cloud: Cloud, forward_port: int) -> None:
    first = ForwardTable(cloud.directory, OpenStreams(), port=forward_port, guarded=cloud.edge.serve)
    second = ForwardTable(cloud.directory, OpenStreams(), port=forward_port, guarded=cloud.edge.serve)
    with serving(cloud, dump) as port:
        cloud.thread.run(first.open("ibox", port))
        records = first.all()
        cloud.thread.run(first.shutdown())
        try:
            assert cloud.thread.run(second.restore(records)) == []
            assert second.all() == records
            assert cloud.thread.run(second.open("iother", port)).address != records[0].address
            assert httpx.get(second.url(records[0])).status_code == 200
        finally:
            cloud.thread.run(second.shutdown())


def test_a_closed_forward_refuses_connections(cloud: Cloud, forwards: ForwardTable, forward_port: int) -> None:
    forward = cloud.thread.run(forwards.open("ibox", 1))
    cloud.thread.run(forwards.close("ibox"))
    assert forwards.all() == []
    with contextlib.closing(socket.socket()) as connection:
        assert connection.connect_ex((forward.address, forward_port)) != 0


def test_dropping_a_sandbox_cuts_its_forwarded_connections(cloud: Cloud, forward_port: int) -> None:
    table = ForwardTable(cloud.directory, cloud.edge.streams, port=forward_port, guarded=cloud.edge.serve)
    try:
        with serving(cloud, switch) as port:
            forward = cloud.thread.run(table.open("iother", port))
            with socket.create_connection((forward.address, forward_port)) as connection:
                connection.settimeout(60)
                connection.sendall(b"upgrade: websocket\r\n\r\n")
                assert connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 101"
                cloud.kill("iother")
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(1000):
                        pass
    finally:
        cloud.thread.run(table.shutdown())


def test_a_private_sandbox_asks_for_its_token_at_forwards_too(cloud: Cloud, forwards: ForwardTable) -> None:
    cloud.set_ingress(Ingress(public=False, traffic_token="let-me-in"))
    with serving(cloud, dump) as port:
        url = forwards.url(cloud.thread.run(forwards.open("ibox", port)))
        with httpx.Client(base_url=url) as client:
            assert client.get("/").status_code == 403
            assert client.get("/", headers={"e2b-traffic-access-token": "wrong"}).status_code == 403
            shown = client.get("/path", headers={"e2b-traffic-access-token": "let-me-in"})
        assert shown.text.startswith("GET /path ")
        assert "let-me-in" not in shown.text
