"""https to sandboxes' ports: the same port as plain HTTP, and an authority that can vouch for loopback only."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from nexus.local.edge.certificates import LoopbackCertificates, ensure_authority
from tests.local.edge.servers import dump, serving, switch
from tests.local.envd.harness import Cloud


def _trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ensure_authority(folder))


def _connect(cloud: Cloud, name: str) -> ssl.SSLSocket:
    connection = socket.create_connection(("127.0.0.1", cloud.port), timeout=60)
    return _trusting(cloud.certificates).wrap_socket(connection, server_hostname=name)


def _read_until(connection: socket.socket, expected: bytes) -> None:
    received = b""
    while expected not in received:
        piece = connection.recv(4096)
        assert piece, received
        received += piece


def test_the_same_port_answers_http_and_https(cloud: Cloud) -> None:
    with serving(cloud, dump) as port:
        name = f"{port}-ibox.localhost"
        request = f"GET /over HTTP/1.1\r\nHost: {name}:{cloud.port}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", cloud.port), timeout=60) as plain:
            plain.sendall(request)
            _read_until(plain, b"GET /over")
        with _connect(cloud, name) as secure:
            secure.sendall(request)
            _read_until(secure, b"GET /over")


def test_an_upgraded_connection_stays_encrypted_both_ways(cloud: Cloud) -> None:
    with serving(cloud, switch) as port, _connect(cloud, f"{port}-ibox.localhost") as connection:
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket"
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {port}-ibox.localhost\r\n{upgrade}\r\n\r\n".encode())
        _read_until(connection, b"greeting;")
        connection.sendall(b"shout")
        _read_until(connection, b"SHOUT")


def test_the_end_of_an_upgraded_connection_reaches_the_client(cloud: Cloud) -> None:
    async def say_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye")
        await writer.drain()

    with serving(cloud, say_goodbye) as port, _connect(cloud, f"{port}-ibox.localhost") as connection:
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket"
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {port}-ibox.localhost\r\n{upgrade}\r\n\r\n".encode())
        _read_until(connection, b"bye")
        assert connection.recv(1) == b""


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_clients_that_name_no_sandbox_get_a_certificate_too(cloud: Cloud, address: str) -> None:
    with httpx.Client(verify=_trusting(cloud.certificates), trust_env=False) as client:
        assert client.get(f"https://{address}:{cloud.port}/").status_code == 400


def test_the_certificate_is_for_the_name_that_was_asked_for(cloud: Cloud) -> None:
    with _connect(cloud, "8000-IBOX.localhost") as connection:
        names = dict(connection.getpeercert() or {})["subjectAltName"]
    assert names == (("DNS", "8000-ibox.localhost"),)


def test_the_authority_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    path = ensure_authority(tmp_path / "tls")
    first = path.read_bytes()
    assert ensure_authority(tmp_path / "tls").read_bytes() == first
    assert (path.parent / "ca-key.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("stolen_for", ["example.com", "localhost.example.com"])
def test_a_stolen_key_vouches_for_no_other_host(tmp_path: Path, stolen_for: str) -> None:
    context = _served_with(tmp_path, x509.DNSName(stolen_for))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        _shake_hands(context, _trusting(tmp_path), stolen_for)


def test_a_stolen_key_vouches_for_no_other_address(tmp_path: Path) -> None:
    context = _served_with(tmp_path, x509.IPAddress(ipaddress.ip_address("10.0.0.1")))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        _shake_hands(context, _trusting(tmp_path), "10.0.0.1")


def test_its_own_names_are_trusted(tmp_path: Path) -> None:
    _shake_hands(LoopbackCertificates(tmp_path).context, _trusting(tmp_path), "3000-iany.localhost")


def _served_with(folder: Path, name: x509.GeneralName) -> ssl.SSLContext:
    """A server with a certificate for ``name`` that was signed with the authority's key."""
    authority = x509.load_pem_x509_certificate(ensure_authority(folder).read_bytes())
    key = load_pem_private_key((folder / "ca-key.pem").read_bytes(), None)
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
        .sign(key, SHA256())  # type: ignore[arg-type]
    )
    chain = folder / "stolen.pem"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM) + (folder / "ca-key.pem").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A handshake in memory. Raises the client's error."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
    assert not sides
