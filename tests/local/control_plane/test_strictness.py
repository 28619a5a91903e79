"""Requests that are not quite right: bodies, queries, methods, paths, hosts, and their connections afterwards."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from nexus.local.control_plane.bodies import MAX_BODY
from nexus.local.daemon import Endpoint
from nexus.local.settings import load_settings
from tests.local.engine_client import rest

pytestmark = pytest.mark.engine


@contextmanager
def connection(endpoint: Endpoint) -> Iterator[socket.socket]:
    address = urlsplit(endpoint.api_url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), timeout=30) as made:
        yield made


def head(endpoint: Endpoint, line: str, *headers: str, key: str | None = None) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: localhost", f"X-API-KEY: {key or endpoint.api_key}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def read_answer(made: socket.socket) -> tuple[int, bytes]:
    """Status and body of one answer with a known length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += made.recv(65536)
    top, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in top.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        body += made.recv(65536)
    return int(top.split()[1]), body


def send_until_cut(made: socket.socket, chunk: bytes, *, limit: int) -> int:
    """How much the other side took before it cut the connection; ``limit`` when it never did."""
    for sent in range(0, limit, len(chunk)):
        try:
            made.sendall(chunk)
        except OSError:
            return sent
    return limit


def test_connection_goes_on_after_a_refusal_that_came_before_the_body(engine: Endpoint) -> None:
    body = b'{"templateID": "' + b"x" * 2_000_000 + b'"}'
    with connection(engine) as made:
        for key in ("e2b_wrong", engine.api_key):
            made.sendall(head(engine, "POST /v2/sandboxes", f"Content-Length: {len(body)}", key=key) + body)
            status, answer = read_answer(made)
            assert status == (401 if key == "e2b_wrong" else 400), answer
        made.sendall(head(engine, "GET /v2/sandboxes"))
        assert read_answer(made)[0] == 200


def test_body_that_does_not_end_is_answered_and_cut(engine: Endpoint) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with connection(engine) as made:
        made.sendall(head(engine, "POST /v2/sandboxes", "Transfer-Encoding: chunked"))
        assert send_until_cut(made, chunk, limit=64 * MAX_BODY) < 64 * MAX_BODY
    with rest(engine) as client:
        assert client.get("/health").status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"templateID": NaN}',
        b'{"templateID": "base", "timeout": Infinity}',
        b'{"templateID": "\xff"}',
        b'{"templateID": "\\ud800"}',
        b'{"templateID": "base", "timeout": 99999999999999999999}',
        b'{"templateID": "base", "timeout": 15.5}',
        b'{"templateID": "base", "timeout": true}',
        b'{"templateID": null}',
        b'{"templateID": "base", "metadata": {"a": 1}}',
        b'{"templateID": "base", "metadata": []}',
        b"[" * 100_000,
        b"",
        b"null",
        b'"text"',
    ],
)
def test_bodies_that_are_no_requests_are_refused(body: bytes, engine: Endpoint) -> None:
    with rest(engine) as client:
        answer = client.post("/v2/sandboxes", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, 400), answer.text


def test_other_content_types_are_refused(engine: Endpoint) -> None:
    with rest(engine) as client:
        for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
            answer = client.post("/volumes", content=b'{"name": "v"}', headers={"Content-Type": media_type})
            assert answer.status_code == 400
            assert "Content-Type" in answer.json()["message"]


@pytest.mark.parametrize(
    "query", ["limit=", "limit=0", "limit=101", "limit=%2B5", "limit=1_0", "limit=%EF%BC%91", "startedAfter=", "order="]
)
def test_queries_that_mean_nothing_are_refused(query: str, engine: Endpoint) -> None:
    with rest(engine) as client:
        assert client.get(f"/v2/sandboxes?{query}").status_code == 400


def test_wrong_methods_are_told_the_right_ones(engine: Endpoint) -> None:
    with rest(engine) as client:
        for path, methods in (
            ("/v2/sandboxes", "GET, HEAD, POST"),
            ("/templates/base", "DELETE, GET, HEAD, PATCH, POST"),
            ("/templates/base/tags", "GET, HEAD"),
            ("/templates/tags", "DELETE, POST"),
        ):
            answer = client.put(path)
            assert (answer.status_code, answer.headers["allow"]) == (405, methods)
            assert answer.json()["code"] == 405


def test_encoded_slashes_stay_within_their_segment(engine: Endpoint) -> None:
    with rest(engine) as client:
        for path in ("/sandboxes/..%2F..%2Fengine.json", "/sandboxes/%2Fnexus%2Fstatus", "/sandboxes%2Fnexus/status"):
            assert client.get(path).status_code == 404
        # The guards and the routes see the same path: no prefix that is open leads elsewhere.
        anonymous = {"X-API-KEY": "wrong"}
        for path in ("/volumecontent%2F..%2Fsandboxes", "/health%2F..%2Fsandboxes", "/nexus%2Fuploads%2F..%2Fstatus"):
            assert client.get(path, headers=anonymous).status_code in (401, 404)
        named = client.get("/templates/nobody%2Fbase")
        assert named.status_code in (400, 403, 404)
        assert "nobody/base" in named.json()["message"]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "10.0.0.1", "[::]"],
)
def test_names_that_were_bent_to_loopback_are_refused(host: str, engine: Endpoint) -> None:
    """What a web page does whose name suddenly resolves to 127.0.0.1, in the browser of the engine's user."""
    with rest(engine) as client:
        for path in ("/v2/sandboxes", "/health", "/nexus/status"):
            assert client.get(path, headers={"Host": host}).status_code in (400, 403)
        assert client.get("/v2/sandboxes", headers={"Origin": f"http://{host}"}).status_code == 403


def test_access_token_opens_teams_and_templates_only(engine: Endpoint) -> None:
    settings = load_settings(engine.home)
    assert settings is not None
    headers = {"Authorization": f"Bearer {settings.access_token}"}
    with httpx.Client(base_url=engine.api_url, headers=headers) as client:
        for path in ("/teams", "/templates", "/v2/templates"):
            assert client.get(path).status_code == 200
        for path in ("/v2/sandboxes", "/sandboxes/x", "/volumes", "/secrets", "/nexus/status", "/nexus/faults"):
            assert client.get(path).status_code == 401, path


def test_many_requests_may_come_before_the_first_is_answered(engine: Endpoint) -> None:
    with connection(engine) as made:
        made.sendall(head(engine, "GET /health") + head(engine, "GET /sandboxes/x") + head(engine, "GET /volumes"))
        data = b""
        while data.count(b"HTTP/1.1 ") < 3:
            data += made.recv(65536)
    assert [int(part.split()[0]) for part in data.split(b"HTTP/1.1 ")[1:]] == [204, 404, 200]


def test_replay_is_the_same_word_for_word(engine: Endpoint) -> None:
    with rest(engine) as client:

        def create(body: object, key: str) -> httpx.Response:
            return client.post("/v2/sandboxes", content=json.dumps(body), headers={"Idempotency-Key": key})

        made = create({"templateID": "base", "timeout": 60, "network": {"allowPublicTraffic": False}}, "wordly")
        again = create({"network": {"allowPublicTraffic": False}, "timeout": 60, "templateID": "base"}, "wordly")
        assert (made.status_code, made.content) == (again.status_code, again.content)
        assert made.json()["trafficAccessToken"]
        for status, body in ((404, {"templateID": "none"}), (400, {"templateID": 5}), (400, {"timeout": 1})):
            first, second = (create(body, f"refused-{status}-{len(str(body))}") for _ in range(2))
            assert first.status_code == second.status_code == status
            assert first.content == second.content
        client.delete(f"/sandboxes/{made.json()['sandboxID']}")
