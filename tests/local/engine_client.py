"""A plain HTTP client of an engine's control plane, for what the SDK has no call for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
from e2b import Sandbox

from nexus.local.daemon import Endpoint


def sdk(endpoint: Endpoint) -> dict[str, Any]:
    """The SDK's options for ``endpoint``."""
    return dict(endpoint.sdk_options())


@contextmanager
def rest(endpoint: Endpoint) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=endpoint.api_url, headers={"X-API-KEY": endpoint.api_key}, timeout=60) as client:
        yield client


def advance(endpoint: Endpoint, seconds: int) -> None:
    """Move the engine's time forward."""
    with rest(endpoint) as client:
        client.post("/nexus/clock", json={"advance": seconds}).raise_for_status()


def now(endpoint: Endpoint) -> datetime:
    """The engine's time, which other tests may have moved."""
    with rest(endpoint) as client:
        return datetime.fromisoformat(client.get("/nexus/status").json()["now"])


@contextmanager
def faults(endpoint: Endpoint, *rules: dict[str, Any]) -> Iterator[None]:
    """Scripted failures while the block runs."""
    with rest(endpoint) as client:
        client.post("/nexus/faults", json=list(rules)).raise_for_status()
        try:
            yield
        finally:
            client.post("/nexus/faults", json=[]).raise_for_status()


def kill_all(endpoint: Endpoint) -> None:
    with rest(endpoint) as client:
        while listed := client.get("/v2/sandboxes").json():
            for sandbox in listed:
                client.delete(f"/sandboxes/{sandbox['sandboxID']}")


def is_gone(sandbox: Sandbox) -> bool:
    """Whether the edge no longer finds the sandbox. A request that meets the end itself is cut: that says nothing."""
    try:
        return not sandbox.is_running()
    except httpx.TransportError:
        return False
