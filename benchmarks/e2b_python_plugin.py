"""For pytest, when it runs E2B's tests: keeps the live ones, and notes which need the public internet."""

from __future__ import annotations

import inspect
import re
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from nexus.local.clients import resolves_sandbox_names

PUBLIC_HOST = "public host"
# What the suite's own configuration takes for live, in its newer and older versions.
_LIVE_FIXTURES = {"sandbox", "sandbox_factory", "async_sandbox", "async_sandbox_factory", "build", "async_build"}
_LIVE_MARKS = {"e2e", "skip_debug"}
_FAKES = re.compile(r"mock|monkeypatch")
_PUBLIC = re.compile(r"https://(?:1\.1\.1\.1|8\.8\.8\.8|[\w.-]*e2b\.\w+)|httpbin")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    live = [item for item in items if _is_live(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in live])
    items[:] = live
    for item in items:
        if found := _PUBLIC.search(inspect.getsource(getattr(item, "function", type(item)))):
            item.user_properties.append((PUBLIC_HOST, found[0]))


def pytest_configure() -> None:
    """Resolve names under ``localhost`` as systemd and browsers do, where the host's own resolver does not."""
    if not resolves_sandbox_names():
        _resolve_names_under_localhost()


def _is_live(item: pytest.Item) -> bool:
    if item.get_closest_marker("mocked"):
        return False
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    if item.get_closest_marker("e2e"):
        return True
    if any(_FAKES.search(name) for name in fixtures):
        return False
    return not _LIVE_FIXTURES.isdisjoint(fixtures) or any(item.get_closest_marker(mark) for mark in _LIVE_MARKS)


def _resolve_names_under_localhost() -> None:
    resolve = socket.getaddrinfo

    def resolve_more(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return resolve(
            "127.0.0.1" if isinstance(name, str) and name.endswith(".localhost") else host, *arguments, **options
        )

    socket.getaddrinfo = resolve_more
