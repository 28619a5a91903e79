"""Sandboxes whose time is over, and whole pools of what vanished, are back at the controller's next look."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

import nexus
from nexus.controller import (
    Controller,
    EnvironmentSettings,
    Key,
    Log,
    Phase,
    ProjectSettings,
    Settings,
    Traces,
    assemble,
)
from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.local.engine_client import advance

pytestmark = pytest.mark.engine

MANIFEST = """\
apiVersion: nexus/v1
project: expiring
sandboxes:
  web: {template: base, timeout: 10m}
  worker: {template: base, timeout: 10m, count: 3}
  spare: {template: base, timeout: 10m, pool: 2}
"""
KEY = Key("expiring", "default")


@pytest.fixture
def engine_apart(engine_home: Path) -> Endpoint:
    """Its clock is moved."""
    return daemon.ensure_running(engine_home, test_controls=True)


async def test_what_reached_its_time_to_live_is_back_at_the_next_look(engine_apart: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "nexus.yaml").write_text(MANIFEST)
    process = {**os.environ, "NEXUS_HOME": str(engine_apart.home), "NEXUS_TARGET": "local"}
    said, bugs = io.StringIO(), list[Exception]()
    kept = EnvironmentSettings(key=KEY)
    settings = Settings(projects=(ProjectSettings(name="expiring", place=tmp_path, environments=(kept,)),), host="")

    def controller() -> Controller:
        return assemble(settings, process, Log(said, as_json=True), bugs.append, Traces())

    async def living() -> set[str]:
        account = nexus.AsyncAccount(target="local", process=process)
        return {item.id for item in (await account.list()).sandboxes}

    first = await controller().once()
    assert first[KEY].phase is Phase.SYNCED, said.getvalue()
    before = await living()
    assert len(before) == 6
    advance(engine_apart, 11 * 60)
    assert await living() == set()

    second = await controller().once()
    assert second[KEY].phase is Phase.SYNCED, said.getvalue()
    after = await living()
    assert len(after) == 6
    assert not after & before
    assert bugs == []
    (drift,) = [item for item in map(json.loads, said.getvalue().splitlines()) if item["event"] == "drift"]
    assert drift["summary"] == {"gone": 6}
    third = await controller().once()
    assert third[KEY].pending == ()
    assert await living() == after
