"""Who may talk to the control plane, and how it words its refusals."""

from __future__ import annotations

import httpx
import pytest
from e2b import Sandbox
from e2b.exceptions import AuthenticationException, RateLimitException, SandboxException

from nexus.local.control_plane.guards import is_loopback
from nexus.local.daemon import Endpoint
from tests.local.engine_client import faults, rest, sdk


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost", "localhost:1", "[::1]:80", "api.localhost", "127.77.0.1"]
)
def test_loopback_hosts_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.com", "localhost.example.com:80", "10.0.0.1", "0.0.0.0", "[::]:80"])
def test_other_hosts_are_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.engine
def test_requests_from_web_pages_and_other_names_are_refused(engine: Endpoint) -> None:
    with rest(engine) as client:
        assert client.get("/sandboxes", headers={"Origin": "https://example.com"}).status_code == 403
        assert client.get("/sandboxes", headers={"Origin": "null"}).status_code == 403
        assert client.get("/sandboxes", headers={"Host": "attacker.example"}).status_code == 403
        assert client.get("/sandboxes", headers={"Origin": engine.api_url}).status_code == 200


@pytest.mark.engine
def test_a_key_is_needed_for_everything_but_health(engine: Endpoint) -> None:
    options = {**sdk(engine), "api_key": "e2b_" + "0" * 40}
    with pytest.raises(AuthenticationException):
        Sandbox.list(**options).next_items()
    with httpx.Client(base_url=engine.api_url) as client:
        for method, path in (("GET", "/sandboxes"), ("GET", "/nexus/status"), ("POST", "/nexus/faults"), ("GET", "/x")):
            answer = client.request(method, path)
            assert answer.status_code == 401
            assert answer.json()["code"] == 401
        assert client.get("/health").status_code == 204
        unsigned = client.put(f"/nexus/uploads/{'0' * 64}?expires=99999999999&signature=0", content=b"x")
        assert unsigned.status_code == 403


@pytest.mark.engine
def test_refusals_are_json_with_their_code(engine: Endpoint) -> None:
    with rest(engine) as client:
        cases = [
            ("GET", "/nowhere", None, 404),
            ("PATCH", "/sandboxes", None, 405),
            ("POST", "/v2/sandboxes", "not json", 400),
            ("POST", "/v2/sandboxes", "[]", 400),
            ("POST", "/v2/sandboxes", '{"templateID": 5}', 400),
            ("POST", "/v2/sandboxes", '{"templateID": "base", "envVars": {"A": 1}}', 400),
            ("POST", "/v2/sandboxes", '{"templateID": "base", "autoPauseMemory": false}', 400),
            ("POST", "/v2/sandboxes", '{"templateID": "base", "iam": {"tokens": {"a": {}}}}', 400),
            ("POST", "/v2/sandboxes", '{"templateID": "base", "network": {"denyOut": ["example.com"]}}', 400),
            ("POST", "/v2/sandboxes", '{"templateID": "base", "network": {"egressProxy": {"address": "a"}}}', 400),
            ("GET", "/v2/sandboxes?limit=101", None, 400),
            ("GET", "/v2/sandboxes?state=killed", None, 400),
            ("GET", "/v2/sandboxes?nextToken=x", None, 400),
            ("GET", "/volumes/not-a-uuid", None, 400),
            ("POST", "/volumes", '{"name": "a/b"}', 400),
            ("POST", "/v3/templates", '{"name": "x", "cpuCount": 3}', 400),
            ("POST", "/v3/templates", '{"name": "base"}', 400),
            ("GET", "/templates/base/files/short", None, 400),
        ]
        for method, path, body, status in cases:
            answer = client.request(method, path, content=body)
            assert answer.status_code == status, (method, path, body, answer.text)
            assert answer.json()["code"] == status
            assert answer.json()["message"]


@pytest.mark.engine
def test_unknown_sandbox_is_told_in_the_words_of_e2b(engine: Endpoint) -> None:
    with rest(engine) as client:
        answer = client.get("/sandboxes/iunknown")
    assert answer.json() == {
        "code": 404,
        "message": "Sandbox \"iunknown\" doesn't exist or you don't have access to it",
    }


@pytest.mark.engine
def test_scripted_failures_strike_as_told(engine: Endpoint) -> None:
    options = sdk(engine)
    busy = {"method": "GET", "path": "^/v2/sandboxes", "action": "status", "status": 429, "nth": None}
    with faults(engine, busy), pytest.raises(RateLimitException):
        Sandbox.list(retries=0, **options).next_items()
    second = {"method": "GET", "path": "^/v2/sandboxes", "action": "status", "status": 500, "nth": 2}
    with faults(engine, second):
        Sandbox.list(**options).next_items()
        with pytest.raises(SandboxException):
            Sandbox.list(**options).next_items()
        Sandbox.list(**options).next_items()
