from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from e2b import Sandbox, Volume

from nexus.local.daemon import Endpoint
from tests.local.engine_client import sdk


@dataclass(frozen=True, slots=True)
class Mounted:
    """A volume, and a sandbox that has it at /data."""

    volume: Volume
    sandbox: Sandbox

    def sees(self, command: str, user: str = "user") -> str:
        """What a command prints inside."""
        return self.sandbox.commands.run(command, user=user, cwd="/data").stdout.strip()


@pytest.fixture
def volume_url(engine: Endpoint, monkeypatch: pytest.MonkeyPatch) -> str:
    """The SDK finds the content API by this variable alone."""
    monkeypatch.setenv("E2B_VOLUME_API_URL", engine.api_url)
    return engine.api_url


@pytest.fixture
def volume(engine: Endpoint, volume_url: str) -> Iterator[Volume]:
    made = Volume.create(f"v-{uuid.uuid4().hex[:12]}", **sdk(engine))
    yield made
    Volume.destroy(made.volume_id, **sdk(engine))


@pytest.fixture
def mounted(engine: Endpoint, volume: Volume) -> Iterator[Mounted]:
    sandbox = Sandbox.create(volume_mounts={"/data": volume}, **sdk(engine))
    yield Mounted(volume, sandbox)
    sandbox.kill()
