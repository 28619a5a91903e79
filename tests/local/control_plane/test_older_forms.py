"""The older forms of the API, which the CLI and older SDKs use, and requests that meet each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpx
import pytest

from nexus.local.daemon import Endpoint
from tests.local.engine_client import rest

pytestmark = pytest.mark.engine


def ends(client: httpx.Client, sandbox_id: str) -> datetime:
    return datetime.fromisoformat(client.get(f"/sandboxes/{sandbox_id}").json()["endAt"])


def test_first_version_of_create_connect_resume_and_refresh(clean_engine: Endpoint) -> None:
    with rest(clean_engine) as client:
        before = client.get("/snapshots").json()
        made = client.post("/sandboxes", json={"templateID": "base"})
        assert made.status_code == 201
        sandbox_id = made.json()["sandboxID"]
        detail = client.get(f"/sandboxes/{sandbox_id}-oldclientid").json()
        started, end = (datetime.fromisoformat(detail[key]) for key in ("startedAt", "endAt"))
        assert end - started == timedelta(seconds=15)
        assert detail["lifecycle"] == {"autoResume": False, "onTimeout": "kill"}
        assert detail["volumeMounts"] == []
        assert client.post(f"/sandboxes/{sandbox_id}/refreshes", json={"duration": 600}).status_code == 204
        assert ends(client, sandbox_id) > end + timedelta(seconds=500)
        assert client.post(f"/sandboxes/{sandbox_id}/connect", json={"timeout": 900}).status_code == 200
        assert client.post(f"/sandboxes/{sandbox_id}/connect", json={}).status_code == 400
        assert client.post(f"/sandboxes/{sandbox_id}/resume", json={"timeout": 60}).status_code == 409
        assert client.post(f"/sandboxes/{sandbox_id}/pause").status_code == 204
        assert client.get("/sandboxes").json() == []
        assert client.post(f"/sandboxes/{sandbox_id}/network").status_code == 405
        assert client.put(f"/sandboxes/{sandbox_id}/network", json={}).status_code == 404
        resumed = client.post(f"/sandboxes/{sandbox_id}/resume", json={"timeout": 60})
        assert resumed.status_code == 201
        assert resumed.json()["envdAccessToken"] == made.json()["envdAccessToken"]
        assert client.post(f"/sandboxes/{sandbox_id}/fork").status_code == 201
        assert client.get("/snapshots").json() == before


def test_of_many_pauses_at_once_one_succeeds(clean_engine: Endpoint) -> None:
    with rest(clean_engine) as client:
        sandbox_id = client.post("/v2/sandboxes", json={"templateID": "base"}).json()["sandboxID"]

        def pause(_number: int) -> int:
            return client.post(f"/sandboxes/{sandbox_id}/pause").status_code

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(pause, range(6))) == [204, *[409] * 5]


def test_of_many_resumes_at_once_all_are_answered(clean_engine: Endpoint) -> None:
    with rest(clean_engine) as client:
        sandbox_id = client.post("/v2/sandboxes", json={"templateID": "base"}).json()["sandboxID"]
        client.post(f"/sandboxes/{sandbox_id}/pause")

        def connect(_number: int) -> int:
            return client.post(f"/v2/sandboxes/{sandbox_id}/connect", json={"timeout": 100}).status_code

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(connect, range(6)))
        assert sorted(answers) == [*[200] * 5, 201]


def test_of_many_kills_at_once_one_finds_it(clean_engine: Endpoint) -> None:
    with rest(clean_engine) as client:
        sandbox_id = client.post("/v2/sandboxes", json={"templateID": "base"}).json()["sandboxID"]

        def kill(_number: int) -> int:
            return client.delete(f"/sandboxes/{sandbox_id}").status_code

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(kill, range(6))) == [204, *[404] * 5]
