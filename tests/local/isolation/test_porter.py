"""Connections to a machine's own ports, on a host that need not be like this one."""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.local.isolation.porter import Porter
from nexus.local.isolation.runtime_folder import listen


@pytest.fixture
def without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel that was started without IPv6 says to those who ask for it."""

    class Socket(socket.socket):
        def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, type, proto, fileno)

    monkeypatch.setattr(socket, "socket", Socket)


def ask(path: Path, port: int) -> bytes:
    """What a porter of this network answers who asks for ``port``; the connection itself is dropped."""
    with listen(path) as listening, selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as client:
        Porter(listening, selector)
        client.connect(str(path))
        client.sendall(b"%d\n" % port)
        client.setblocking(False)
        while True:
            for key, _ in selector.select(60):
                key.data()
            try:
                return client.recv(16)
            except BlockingIOError:
                continue


@pytest.fixture
def closed_port() -> Iterator[int]:
    """One that is taken, so that nobody else gets it, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_port_is_found_closed_also_where_there_is_no_ipv6(
    tmp_path: Path, closed_port: int, without_ipv6: None
) -> None:
    assert ask(tmp_path / "ports", closed_port) == str(errno.ECONNREFUSED).encode()


def test_an_open_port_is_handed_out_where_there_is_no_ipv6(tmp_path: Path, without_ipv6: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ask(tmp_path / "ports", server.getsockname()[1]) == b"+"
