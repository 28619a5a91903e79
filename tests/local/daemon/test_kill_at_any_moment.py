"""The daemon killed at random moments, with work under way: what was answered stays true."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from e2b import Sandbox, Template

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from nexus.local.presence import is_held
from tests.local.engine_client import sdk
from tests.local.machines import living_machines
from tests.local.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow]

ROUNDS = 6
SEED = int(os.environ.get("NEXUS_TEST_SEED", "1"))


@dataclass
class Ledger:
    """What clients were told."""

    alive: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    templates: set[str] = field(default_factory=set)


def test_what_was_answered_survives_kills_at_any_moment(engine_home: Path) -> None:
    chance, ledger = random.Random(SEED), Ledger()
    for turn in range(ROUNDS):
        endpoint = daemon.ensure_running(engine_home)
        _compare(endpoint, ledger)
        _work_until_killed(endpoint, ledger, turn, chance.uniform(0.0, 2.5))
        wait_until(lambda: not is_held(engine_home), "the daemon is gone")
    endpoint = daemon.ensure_running(engine_home)
    _compare(endpoint, ledger)
    listed = _listed(endpoint)
    wait_until(lambda: {path.name for path in engine_home.glob("store/*/up/*")} == listed, "no files without owners")
    wait_until(lambda: living_machines(engine_home) == listed, "no machines without owners")
    for name in ledger.templates:
        assert Sandbox.create(name, **sdk(endpoint)).commands.run("cat ~/made").stdout == f"{name}\n"


def _work_until_killed(endpoint: Endpoint, ledger: Ledger, turn: int, after: float) -> None:
    stopped = threading.Event()
    workers = [
        threading.Thread(target=_until_the_end, args=(stopped, work))
        for work in (
            lambda: _create(endpoint, ledger),
            lambda: _create(endpoint, ledger),
            lambda: _end_one(endpoint, ledger),
            lambda: _build(endpoint, ledger, f"t{turn}-{time.monotonic_ns()}"),
        )
    ]
    for worker in workers:
        worker.start()
    stopped.wait(after)
    os.kill(endpoint.pid, signal.SIGKILL)
    stopped.set()
    for worker in workers:
        worker.join()


def _until_the_end(stopped: threading.Event, work: Callable[[], None]) -> None:
    while not stopped.is_set():
        try:
            work()
        except Exception:
            # Cut off by the kill; before it, the ledger's comparison would tell.
            if not stopped.wait(0.05):
                continue


def _create(endpoint: Endpoint, ledger: Ledger) -> None:
    if len(ledger.alive) >= 8:
        _end_one(endpoint, ledger)
        return
    sandbox = Sandbox.create(timeout=3600, request_timeout=30, **sdk(endpoint))
    sandbox.files.write("marker", sandbox.sandbox_id)
    ledger.alive[sandbox.sandbox_id] = sandbox.sandbox_id


def _end_one(endpoint: Endpoint, ledger: Ledger) -> None:
    if len(ledger.alive) < 4:
        return
    try:
        sandbox_id, _ = ledger.alive.popitem()
    except KeyError:
        return
    ledger.unsure.add(sandbox_id)
    if Sandbox.kill(sandbox_id, **sdk(endpoint)):
        ledger.unsure.discard(sandbox_id)
        ledger.ended.add(sandbox_id)


def _build(endpoint: Endpoint, ledger: Ledger, name: str) -> None:
    template = Template().from_base_image().run_cmd(f"echo {name} >~/made")
    Template.build(template, name, api_key=endpoint.api_key, api_url=endpoint.api_url)
    ledger.templates.add(name)


def _listed(endpoint: Endpoint) -> set[str]:
    found, pages = set(), Sandbox.list(**sdk(endpoint))
    while pages.has_next:
        found |= {item.sandbox_id for item in pages.next_items()}
    return found


def _compare(endpoint: Endpoint, ledger: Ledger) -> None:
    listed = _listed(endpoint)
    assert set(ledger.alive) <= listed
    assert not ledger.ended & listed
    for sandbox_id, marker in ledger.alive.items():
        sandbox = Sandbox.connect(sandbox_id, **sdk(endpoint))
        assert sandbox.files.read("marker") == marker
        assert sandbox.commands.run("echo on").stdout == "on\n"
