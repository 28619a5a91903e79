"""Which machine a request reaches, and what the edge answers when it reaches none."""

from __future__ import annotations

import socket

import httpx
import pytest

from nexus.local.edge import Ingress
from tests.local.edge.servers import dump, serving
from tests.local.envd.harness import Cloud


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_one_connection_carries_requests_for_different_sandboxes(cloud: Cloud) -> None:
    with socket.create_connection(("127.0.0.1", cloud.port)) as connection:
        for sandbox_id in ("ibox", "iother", "ibox"):
            lines = [f"{name}: {value}" for name, value in cloud.headers(sandbox_id).items()]
            connection.sendall("\r\n".join(["GET /envs HTTP/1.1", "Host: localhost", *lines, "\r\n"]).encode())
            received = b""
            while b"}" not in received:
                received += connection.recv(65536)
            assert f'"E2B_SANDBOX_ID":"{sandbox_id}"'.encode() in received


@pytest.mark.parametrize("host", ["49983-iother.sandbox.example", "49983-iother-clientid.localhost:1234"])
def test_the_host_names_port_and_sandbox(cloud: Cloud, host: str) -> None:
    token = cloud.headers("iother")["X-Access-Token"]
    answer = httpx.get(f"{cloud.url}/envs", headers={"Host": host, "X-Access-Token": token})
    assert answer.json()["E2B_SANDBOX_ID"] == "iother"


@pytest.mark.parametrize("missing", ["E2b-Sandbox-Id", "E2b-Sandbox-Port"])
def test_one_header_without_the_other_is_a_bad_request(cloud: Cloud, missing: str) -> None:
    headers = cloud.headers()
    del headers[missing]
    answer = httpx.get(f"{cloud.url}/health", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert missing in answer.json()["message"]


@pytest.mark.parametrize("headers", [{}, {"E2b-Sandbox-Id": "ibox", "E2b-Sandbox-Port": "99999"}])
def test_a_request_that_names_no_target_is_a_bad_request(cloud: Cloud, headers: dict[str, str]) -> None:
    assert httpx.get(f"{cloud.url}/health", headers=headers).status_code == 400


def test_an_unknown_sandbox_is_told_in_the_words_the_sdk_knows(cloud: Cloud) -> None:
    answer = httpx.get(f"{cloud.url}/health", headers=cloud.headers("igone"))
    assert answer.status_code == 502
    assert answer.json() == {"sandboxId": "igone", "message": "The sandbox was not found", "code": 502}
    assert cloud.sandbox("igone").is_running() is False


def test_a_closed_port_is_told_in_the_words_the_sdk_knows(cloud: Cloud) -> None:
    port = _free_port()
    answer = httpx.get(f"{cloud.url}/", headers=cloud.headers(port=port))
    assert answer.status_code == 502
    message = "The sandbox is running but port is not open"
    assert answer.json() == {"sandboxId": "ibox", "message": message, "port": port, "code": 502}


def test_a_browser_gets_a_page(cloud: Cloud) -> None:
    answer = httpx.get(f"{cloud.url}/", headers=cloud.headers("i<x>") | {"User-Agent": "Mozilla/5.0 (X11)"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "The sandbox was not found" in answer.text
    answer = httpx.get(f"{cloud.url}/", headers=cloud.headers(port=_free_port()) | {"User-Agent": "Mozilla/5.0 (X11)"})
    assert "<title>Closed Port Error</title>" in answer.text


def test_a_sandbox_in_transition_is_a_conflict(cloud: Cloud) -> None:
    cloud.directory.changing.add("ibox")
    answer = httpx.get(f"{cloud.url}/health", headers=cloud.headers())
    assert (answer.status_code, answer.json()["code"]) == (409, 409)


@pytest.mark.parametrize("path", ["/init", "/logs", "/%6cogs", "/freeze", "/logs?x=1"])
def test_internal_routes_are_closed(cloud: Cloud, path: str) -> None:
    assert httpx.get(f"{cloud.url}{path}", headers=cloud.headers()).status_code == 404
    assert httpx.post(f"{cloud.url}{path}", headers=cloud.headers(), json={"envVars": {"X": "1"}}).status_code == 404


def test_a_private_sandbox_asks_for_the_traffic_token_and_keeps_the_connection(cloud: Cloud) -> None:
    cloud.set_ingress(Ingress(public=False, traffic_token="tt_secret"))
    with serving(cloud, dump) as port, socket.create_connection(("127.0.0.1", cloud.port)) as connection:
        statuses, heads = [], []
        for token in ("", "e2b-traffic-access-token: wrong\r\n", "e2b-traffic-access-token: tt_secret\r\n"):
            connection.sendall(
                f"POST / HTTP/1.1\r\nHost: {port}-ibox.local\r\nContent-Length: 4\r\n{token}\r\nbody".encode()
            )
            status, body = _read_response(connection)
            statuses.append(status)
            heads.append(body)
        assert statuses == [403, 403, 200]
        assert b"tt_secret" not in heads[2]
    assert httpx.get(f"{cloud.url}/health", headers=cloud.headers()).status_code == 204


def test_the_host_can_be_masked_for_ports_but_not_for_envd(cloud: Cloud) -> None:
    cloud.set_ingress(Ingress(mask_host="localhost:${PORT}"))
    with serving(cloud, dump) as port:
        text = httpx.get(f"{cloud.url}/x?y=%20z", headers=cloud.headers(port=port)).text
    assert text.startswith("GET /x?y=%20z HTTP/1.1\r\n")
    assert f"\r\nHost: localhost:{port}\r\n" in text
    assert text.lower().count("\r\nhost:") == 1
    assert cloud.sandbox().is_running()


def test_signed_urls_find_the_sandbox_whose_token_signed_them(cloud: Cloud) -> None:
    (cloud.home / "shared").write_text("x")
    for sandbox_id in ("ibox", "iother"):
        url = cloud.sandbox(sandbox_id).download_url("shared")
        cloud.directory.asked.clear()
        assert httpx.get(url).status_code == 200
        assert set(cloud.directory.asked) == {sandbox_id}
    forged = httpx.URL(url).copy_set_param("path", "/etc/passwd")
    assert (httpx.get(forged).status_code, httpx.get(forged).json()["message"]) == (401, "invalid signature")
    bare = httpx.get(f"{cloud.url}/files", params={"path": "shared"})
    assert (bare.status_code, bare.json()["message"]) == (401, "missing signature query parameter")


def test_pages_of_any_origin_may_call_envd(cloud: Cloud) -> None:
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(f"{cloud.url}/process.Process/Start", headers=cloud.headers() | asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "*")


def test_oversized_heads_and_garbage_are_refused(cloud: Cloud) -> None:
    assert httpx.get(f"{cloud.url}/", headers={"X": "x" * 300_000}).status_code == 431
    with socket.create_connection(("127.0.0.1", cloud.port)) as connection:
        connection.sendall(b"what is this\r\n\r\n")
        assert connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 400"


def _read_response(connection: socket.socket) -> tuple[int, bytes]:
    with connection.makefile("rb", buffering=0) as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = b""
        while len(body) < length:
            body += stream.read(length - len(body)) or b""
    return status, body
