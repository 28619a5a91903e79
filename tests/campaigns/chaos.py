"""Failures of every kind at once: a fifth of all requests, to the control plane and into sandboxes, by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nexus.local.daemon import Endpoint
from tests.local.engine_client import rest

ENVD = 49983


def rules(share: float = 0.2) -> list[dict[str, Any]]:
    """The first rule that strikes decides, so each takes its part of what the ones before have left."""
    part = share / 8
    api: list[dict[str, Any]] = [{"action": "status", "status": status} for status in (500, 502, 503)]
    api += [{"action": "status", "status": 429, "headers": {"Retry-After": "0"}}]
    api += [
        {"action": "status", "status": 429},
        {"action": "drop"},
        {"action": "reset"},
        {"action": "delay", "ms": 300},
    ]
    inside: list[dict[str, Any]] = [
        {"action": "status", "status": 502},
        {"action": "status", "status": 503},
        {"action": "drop"},
        {"action": "drop"},
        {"action": "reset"},
        {"action": "reset"},
        {"action": "delay", "ms": 300},
        {"action": "status", "status": 500},
    ]
    vanishing = [
        {"method": "POST", "path": "^/v2/sandboxes$", "action": "vanish", "probability": share / 10},
        {"on": "sandbox", "port": ENVD, "path": "Process/Start$", "action": "vanish", "probability": share / 20},
    ]
    return [
        *vanishing,
        *({"probability": part, **rule} for rule in api),
        *({"on": "sandbox", "port": ENVD, "probability": part, **rule} for rule in inside),
    ]


@contextmanager
def chaos(engine: Endpoint, seed: int, share: float = 0.2) -> Iterator[None]:
    """While the block runs."""
    with rest(engine) as client:
        client.post("/nexus/faults", json={"seed": seed, "rules": rules(share)}).raise_for_status()
        try:
            yield
        finally:
            client.delete("/nexus/faults").raise_for_status()
