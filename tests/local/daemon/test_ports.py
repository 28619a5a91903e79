"""An engine's ports: held from the first moment of its daemon, and other ones where somebody has them."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nexus.local.ports import hold_ports
from nexus.local.settings import HOST, Settings, create_settings, free_ports, load_settings

NAMES = ("api_port", "sandbox_port", "forward_port")


@contextmanager
def held(settings: Settings) -> Iterator[Settings]:
    settings, ports = hold_ports(settings)
    with ports.api, ports.edge, ports.forwards:
        yield settings


def ports_of(settings: Settings) -> set[int]:
    return {getattr(settings, name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_two_engines_that_chose_the_same_port_do_not_meet(name: str, tmp_path: Path) -> None:
    first, second = (create_settings(tmp_path / engine) for engine in ("first", "second"))
    with held(first) as first, held(replace(second, **{name: getattr(first, name)})) as moved:
        assert not ports_of(first) & ports_of(moved)
        assert load_settings(tmp_path / "second") == moved
        with held(moved) as again:
            assert not ports_of(moved) & ports_of(again)


def test_who_connects_before_anybody_serves_waits(tmp_path: Path) -> None:
    with held(create_settings(tmp_path)) as settings:
        for port in (settings.api_port, settings.sandbox_port):
            socket.create_connection((HOST, port), timeout=60).close()


def test_a_program_that_seeds_its_generator_does_not_choose_the_ports_of_another() -> None:
    state = random.getstate()
    try:
        random.seed(1)
        first = free_ports(3)
        random.seed(1)
        assert free_ports(3) != first
    finally:
        random.setstate(state)
