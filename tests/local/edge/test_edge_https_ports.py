"""Ports whose servers speak TLS themselves: the edge answers plain HTTP and encrypts on the way in."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from nexus.local.edge import Ingress
from tests.local.edge.servers import dump, echo_chunks, serving, switch
from tests.local.envd.harness import Cloud
from tests.local.relay.conftest import certificate_for


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """Of a server whose certificate nobody trusts."""
    path = tmp_path / "server.pem"
    path.write_bytes(certificate_for("somewhere.else.test"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_requests_reach_a_server_that_speaks_tls(cloud: Cloud, tls: ssl.SSLContext) -> None:
    with serving(cloud, dump, tls) as port:
        cloud.set_ingress(Ingress(https_ports=frozenset({port}), mask_host="masked:${PORT}"))
        answer = httpx.get(f"{cloud.url}/path", headers={"Host": f"{port}-ibox.local"})
        assert answer.status_code == 200
        assert answer.text.startswith("GET /path ")
        assert f"Host: masked:{port}\r\n" in answer.text


def test_streams_and_upgrades_pass_tls_too(cloud: Cloud, tls: ssl.SSLContext) -> None:
    with serving(cloud, echo_chunks, tls) as port:
        cloud.set_ingress(Ingress(https_ports=frozenset({port})))
        pieces = iter([b"x" * 100_000, b"y"])
        answer = httpx.post(cloud.url, content=pieces, headers={"Host": f"{port}-ibox.local"})
        assert answer.content == b"x" * 100_000 + b"y"
    with serving(cloud, switch, tls) as port, socket.create_connection(("127.0.0.1", cloud.port)) as connection:
        cloud.set_ingress(Ingress(https_ports=frozenset({port})))
        connection.settimeout(60)
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {port}-ibox.local\r\n{upgrade}\r\n".encode())
        received = b""
        while b"greeting;" not in received:
            received += connection.recv(1000)
        connection.sendall(b"abc")
        assert connection.recv(3, socket.MSG_WAITALL) == b"ABC"


def test_a_server_without_tls_on_such_a_port_is_an_unreachable_one(cloud: Cloud) -> None:
    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is no TLS\r\n" * 10)
        await writer.drain()

    with serving(cloud, refuse) as port:
        cloud.set_ingress(Ingress(https_ports=frozenset({port})))
        answer = httpx.get(cloud.url, headers={"Host": f"{port}-ibox.local"})
        assert (answer.status_code, answer.json()["port"]) == (502, port)
