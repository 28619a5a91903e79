"""A world outside for sandboxes: web servers in a sandbox of its own, reached by names of our choice."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from e2b import Sandbox

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.local.engine_client import rest, sdk

API, OTHER, SECURE, FOREIGN = "api.example.test", "www.example.test", "secure.example.test", "foreign.example.test"

# Answers with the request as it came: method, path, headers, body.
ECHO = """
import http.server, json, ssl, sys
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): self.headers.get_all(name) for name in self.headers}
        told = {"method": self.command, "path": self.path, "headers": headers, "body": self.rfile.read(size).decode()}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_PUT = do_DELETE = do_GET
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Echo)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def certificate_for(name: str) -> bytes:
    """Key and certificate of a server, which vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """``urls`` and ``addresses`` by name; the servers run in ``outside``."""

    endpoint: Endpoint
    outside: Sandbox
    urls: dict[str, str]
    addresses: dict[str, str]

    def sandbox(self, **options: Any) -> Sandbox:
        return Sandbox.create(**options, **sdk(self.endpoint))


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    """An engine that trusts the certificate of one server, and not that of another."""
    home = Path(tempfile.mkdtemp(prefix="nexus-engine-"))
    trusted = home.with_name(f"{home.name}.pem")
    secure, foreign = certificate_for(SECURE), certificate_for(FOREIGN)
    trusted.write_bytes(secure[secure.index(b"-----BEGIN CERTIFICATE") :])
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(trusted))
            endpoint = daemon.ensure_running(home, test_controls=True)
        outside = Sandbox.create(timeout=3000, **sdk(endpoint))
        outside.files.write("/home/user/echo.py", ECHO)
        outside.files.write("/home/user/secure.pem", secure.decode())
        outside.files.write("/home/user/foreign.pem", foreign.decode())
        for arguments in ("8000", "8443 secure.pem", "8444 foreign.pem"):
            outside.commands.run(f"python3 echo.py {arguments}", background=True, timeout=0)
        outside.commands.run("until curl -s localhost:8000 && curl -sk https://localhost:8444 && "
                             "curl -sk https://localhost:8443; do sleep 0.05; done")  # fmt: skip
        urls, addresses = _announce(endpoint, outside)
        yield World(endpoint=endpoint, outside=outside, urls=urls, addresses=addresses)
    finally:
        daemon.reset(home)
        shutil.rmtree(home, ignore_errors=True)
        trusted.unlink(missing_ok=True)


def _announce(endpoint: Endpoint, outside: Sandbox) -> tuple[dict[str, str], dict[str, str]]:
    urls, names = {}, {}
    with rest(endpoint) as client:
        for name, port in ((API, 8000), (OTHER, 8000), (SECURE, 8443), (FOREIGN, 8444)):
            answer = client.post(f"/sandboxes/{outside.sandbox_id}/forwards", json={"port": port})
            address, _, forward_port = answer.json()["url"].removeprefix("http://").partition(":")
            names[name] = address
            scheme = "http" if port == 8000 else "https"
            urls[name] = f"{scheme}://{name}:{forward_port}"
        client.put("/nexus/names", json=names).raise_for_status()
    return urls, names
