"""Rates, counts and lifetimes that an account may have, and how refusals are answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest
from e2b import Sandbox
from e2b.exceptions import RateLimitException

from nexus.local.daemon import Endpoint
from nexus.local.errors import TooManyError
from nexus.local.limits.buckets import TokenBucket
from nexus.local.limits.documents import LimitsError, parse_limits, shown_limits
from nexus.local.limits.model import TIERS, Limits, Rate
from nexus.local.limits.quotas import Quotas
from tests.local.engine_client import advance, rest, sdk
from tests.local.fakes.clock import ManualClock

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "limits.schema.json").read_text(encoding="utf-8"))


@contextmanager
def limits(endpoint: Endpoint, **said: object) -> Iterator[None]:
    with rest(endpoint) as client:
        client.post("/nexus/limits", json=said).raise_for_status()
        try:
            yield
        finally:
            client.delete("/nexus/limits").raise_for_status()


async def test_bucket_gives_its_burst_then_one_at_a_time() -> None:
    clock = ManualClock()
    bucket = TokenBucket(Rate(4, 8), clock)
    assert [bucket.take().granted for _ in range(5)] == [True, True, True, True, False]
    refused = bucket.take()
    assert refused.headers() == {
        "RateLimit-Limit": "4",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "8",
        "Retry-After": "2",
    }
    await clock.advance(1.5)
    assert not bucket.take().granted
    await clock.advance(0.5)
    assert bucket.take().granted
    await clock.advance(100)
    assert [bucket.take().granted for _ in range(5)] == [True, True, True, True, False]


def test_room_is_held_while_sandboxes_start_and_given_back() -> None:
    quotas = Quotas(Limits(concurrent_sandboxes=2), ManualClock())
    words = r"maximum number of concurrent E2B sandboxes \(2\)"
    with quotas.starting(1), pytest.raises(TooManyError, match=words), quotas.starting(1):
        pass
    with quotas.starting(0, 2):
        pass


def test_documents_of_limits() -> None:
    assert parse_limits("hobby") == TIERS["hobby"]
    assert parse_limits({}, Limits(volumes=1)) == Limits(volumes=1)
    mixed = parse_limits({"tier": "pro", "create_rate": {"requests": 2}, "volumes": 3, "request_rate": None})
    assert (mixed.create_rate, mixed.volumes, mixed.request_rate) == (Rate(2, 1), 3, None)
    assert mixed.concurrent_sandboxes == 100
    for name in TIERS:
        jsonschema.validate(shown_limits(TIERS[name]), SCHEMA)
        assert parse_limits(shown_limits(TIERS[name])) == TIERS[name]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ("gold", ""),
        (5, ""),
        ({"tier": "gold"}, "tier"),
        ({"sandboxes": 1}, "sandboxes"),
        ({"max_timeout": 0}, "max_timeout"),
        ({"concurrent_sandboxes": None}, "concurrent_sandboxes"),
        ({"volumes": -1}, "volumes"),
        ({"create_rate": 5}, "create_rate"),
        ({"create_rate": {"seconds": 5}}, "create_rate"),
        ({"create_rate": {"requests": 0}}, "create_rate.requests"),
        ({"request_rate": {"requests": 1, "per": 1}}, "request_rate"),
    ],
)
def test_mistakes_in_limits_are_told_with_their_place(document: object, where: str) -> None:
    with pytest.raises(LimitsError) as caught:
        parse_limits(document)
    assert ".".join(caught.value.where) == where
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.engine
def test_no_more_sandboxes_than_allowed_start_whatever_comes_at_once(clean_engine: Endpoint) -> None:
    with limits(clean_engine, concurrent_sandboxes=3), rest(clean_engine) as client:

        def create(_number: int) -> int:
            return client.post("/v2/sandboxes", json={"templateID": "base"}).status_code

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(create, range(8))) == [201] * 3 + [429] * 5
        refused = client.post("/v2/sandboxes", json={"templateID": "base"})
        assert refused.json()["code"] == 429
        assert refused.json()["message"].startswith(
            "you have reached the maximum number of concurrent E2B sandboxes (3)"
        )
        assert "retry-after" not in refused.headers
        with pytest.raises(RateLimitException, match="concurrent E2B sandboxes"):
            Sandbox.create(retries=0, **sdk(clean_engine))
        # A paused one does not count until it is resumed.
        paused = client.get("/v2/sandboxes").json()[0]["sandboxID"]
        client.post(f"/sandboxes/{paused}/pause").raise_for_status()
        assert client.post("/v2/sandboxes", json={"templateID": "base"}).status_code == 201
        assert client.post(f"/v2/sandboxes/{paused}/connect", json={"timeout": 60}).status_code == 429
        assert client.get(f"/sandboxes/{paused}").json()["state"] == "paused"


@pytest.mark.engine
def test_creates_that_come_too_fast_wait_for_their_turn(clean_engine: Endpoint) -> None:
    with limits(clean_engine, create_rate={"requests": 2, "seconds": 600}), rest(clean_engine) as client:
        first = client.post("/v2/sandboxes", json={"templateID": "base"})
        assert (first.status_code, first.headers["ratelimit-remaining"]) == (201, "1")
        assert client.post("/sandboxes", json={"templateID": "base"}).status_code == 201
        refused = client.post("/v2/sandboxes", json={"templateID": "base"})
        assert (refused.status_code, refused.json()["code"]) == (429, 429)
        assert refused.headers["ratelimit-limit"] == "2"
        assert refused.headers["ratelimit-remaining"] == "0"
        assert 200 < int(refused.headers["retry-after"]) <= 300
        assert int(refused.headers["ratelimit-reset"]) > 500
        assert client.get("/v2/sandboxes").status_code == 200
        advance(clean_engine, int(refused.headers["retry-after"]))
        assert client.post("/v2/sandboxes", json={"templateID": "base", "timeout": 3600}).status_code == 201


@pytest.mark.engine
def test_all_requests_have_a_rate_but_health_and_the_engines_own(clean_engine: Endpoint) -> None:
    with limits(clean_engine, request_rate={"requests": 3, "seconds": 3600}), rest(clean_engine) as client:
        statuses = [client.get("/v2/sandboxes").status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert client.get("/health").status_code == 204
        assert client.get("/nexus/status").status_code == 200


@pytest.mark.engine
def test_lifetimes_and_counts_are_limited(clean_engine: Endpoint) -> None:
    said = {"tier": "hobby", "create_rate": None, "volumes": 0, "secrets": 0, "snapshots": 0, "concurrent_builds": 0}
    with limits(clean_engine, **said), rest(clean_engine) as client:
        too_long = client.post("/v2/sandboxes", json={"templateID": "base", "timeout": 3601})
        assert (too_long.status_code, too_long.json()["message"]) == (400, "Timeout cannot be greater than 1 hours")
        made = client.post("/v2/sandboxes", json={"templateID": "base", "timeout": 3600}).json()["sandboxID"]
        assert client.post(f"/v2/sandboxes/{made}/connect", json={"timeout": 3601}).status_code == 400
        volume = client.post("/volumes", json={"name": "one-too-many"})
        assert (volume.status_code, volume.json()["code"]) == (429, 429)
        secret = client.post("/secrets", json={"name": "one-too-many", "value": "v"})
        assert (secret.status_code, secret.json()["error_code"]) == (409, "secret_limit_reached")
        assert client.post(f"/sandboxes/{made}/snapshots", json={}).status_code == 429
        build = client.post("/v3/templates", json={"name": "one-too-many"})
        assert build.status_code == 429
        assert build.json()["message"].startswith("you have reached the maximum number of concurrent template builds")
