"""What belongs to the team rather than to a sandbox, and what an API key does not open."""

from __future__ import annotations

import time

import httpx
import pytest

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.local.engine_client import rest


@pytest.fixture
def bearer(engine: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {daemon.client_environment(engine.home, {})['E2B_ACCESS_TOKEN']}"}


@pytest.fixture
def team(engine: Endpoint, bearer: dict[str, str]) -> str:
    with httpx.Client(base_url=engine.api_url, headers=bearer) as client:
        (team,) = client.get("/teams").json()
    assert team["isDefault"]
    return str(team["teamID"])


@pytest.mark.engine
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/teams"),
        ("POST", "/templates"),
        ("POST", "/templates/base"),
        ("POST", "/templates/base/builds/x"),
        ("GET", "/api-keys"),
        ("DELETE", "/access-tokens/x"),
        ("GET", "/nodes"),
        ("POST", "/admin/teams/x/sandboxes/kill"),
    ],
)
def test_an_api_key_does_not_open_what_needs_a_person_or_an_operator(engine: Endpoint, method: str, path: str) -> None:
    with rest(engine) as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (401, 401)


@pytest.mark.engine
def test_a_wrong_access_token_is_refused_even_beside_the_right_key(engine: Endpoint) -> None:
    with rest(engine) as client:
        assert client.get("/v2/sandboxes", headers={"Authorization": "Bearer sk_e2b_0"}).status_code == 401


@pytest.mark.engine
def test_the_team_is_measured(engine: Endpoint, team: str) -> None:
    with rest(engine) as client:
        deadline = time.monotonic() + 60
        while not (samples := client.get(f"/teams/{team}/metrics").json()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert set(samples[0]) == {"timestamp", "timestampUnix", "concurrentSandboxes", "sandboxStartRate"}
        most = client.get(f"/teams/{team}/metrics/max", params={"metric": "concurrent_sandboxes"}).json()
        assert most["value"] >= samples[0]["concurrentSandboxes"]
        later = {"start": samples[0]["timestampUnix"] + 10**6}
        assert client.get(f"/teams/{team}/metrics", params=later).json() == []
        assert client.get(f"/teams/{team}/metrics/max", params={"metric": "fun"}).status_code == 400
        assert client.get(f"/teams/{team}/metrics", params={"start": 2, "end": 1}).status_code == 400
        assert client.get("/teams/another/metrics").status_code == 403


@pytest.mark.engine
def test_older_sdks_register_builds_without_tags(engine: Endpoint) -> None:
    with rest(engine) as client:
        answer = client.post("/v2/templates", json={"alias": "older-form", "cpuCount": 4, "memoryMB": 512})
        assert answer.status_code == 202
        template = answer.json()
        assert (template["aliases"], template["buildStatus"]) == (["older-form"], "waiting")
        start = f"/v2/templates/{template['templateID']}/builds/{template['buildID']}"
        assert client.post(start, json={"fromImage": "debian"}).status_code == 202
        assert client.post("/v2/templates", json={}).status_code == 400


@pytest.mark.engine
def test_images_that_were_built_elsewhere_are_refused_by_the_build(engine: Endpoint, bearer: dict[str, str]) -> None:
    with httpx.Client(base_url=engine.api_url, headers=bearer) as client:
        assert client.post("/templates", json={"alias": "pushed"}).status_code == 400
        first = client.post("/templates", json={"alias": "pushed", "dockerfile": "FROM debian"}).json()
        again = client.post(f"/templates/{first['templateID']}", json={"dockerfile": "FROM debian"}).json()
        assert again["templateID"] == first["templateID"]
        build = f"/templates/{again['templateID']}/builds/{again['buildID']}"
        assert client.post(build).status_code == 202
        status = client.get(f"{build}/status").json()
        assert status["status"] == "error"
        assert "built elsewhere" in status["reason"]["message"]
        assert client.post(build).status_code == 400
