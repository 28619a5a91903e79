from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from nexus.local.relay.peeking import Opening, Speech, opening_of, peek
from nexus.local.relay.placeholders import PlaceholderError, fill, tokens_in


def client_hello(name: str | None) -> bytes:
    """What Python's own TLS says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def test_names_are_found_in_tls_greetings() -> None:
    assert opening_of(client_hello("api.example.com")) == Opening(Speech.TLS, "api.example.com")
    assert opening_of(client_hello(None)) == Opening(Speech.TLS)


def test_a_greeting_in_several_records_is_put_together() -> None:
    hello = client_hello("api.example.com")
    body = hello[5:]
    pieces = [body[at : at + 50] for at in range(0, len(body), 50)]
    records = b"".join(hello[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)
    assert opening_of(records) == Opening(Speech.TLS, "api.example.com")


@pytest.mark.parametrize(
    "damage", [b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\x00\x05\x02\0\0\x01\0"]
)
def test_broken_greetings_have_no_name(damage: bytes) -> None:
    assert opening_of(damage) == Opening(Speech.TLS)


def test_hosts_are_found_in_requests() -> None:
    head = b"POST /x HTTP/1.1\r\nUser-Agent: a\r\nhOsT:  api.example.com:8080 \r\nA: b\r\n\r\nbody"
    assert opening_of(head) == Opening(Speech.HTTP, "api.example.com")
    assert opening_of(b"GET / HTTP/1.0\r\n\r\n") == Opening(Speech.HTTP)
    assert opening_of(b"SSH-2.0-OpenSSH\r\n") == Opening(Speech.OTHER)
    assert opening_of(b"\x00\x01") == Opening(Speech.OTHER)


async def test_what_is_looked_at_stays_to_be_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(b"GET / HT")
        looking = asyncio.create_task(peek(ours, first=None, rest=10))
        await asyncio.sleep(0)
        theirs.send(b"TP/1.1\r\nHost: a.test\r\n\r\n")
        assert await looking == Opening(Speech.HTTP, "a.test")
        assert ours.recv(1000) == b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


async def test_who_waits_for_the_server_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        assert await peek(ours, first=0.01, rest=10) == Opening(Speech.OTHER)


def test_placeholders_are_filled_and_unknown_ones_told() -> None:
    def secret(name: str) -> str:
        if name != "key":
            raise PlaceholderError(f"secret '{name}' does not exist")
        return "value"

    text = "Bearer ${e2b.secrets.key} ${e2b.identity.tokens.cloud} ${other} $"
    assert fill(text, secret, lambda name: f"<{name}>") == "Bearer value <cloud> ${other} $"
    assert tokens_in([text]) == {"cloud"}
    with pytest.raises(PlaceholderError, match="'none'"):
        fill("${e2b.secrets.none}", secret, str)
    # A value is never looked at again for placeholders.
    assert fill("${e2b.secrets.key}", lambda _name: "${e2b.secrets.key}", str) == "${e2b.secrets.key}"
