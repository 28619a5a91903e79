"""A provider on the session's local engine, and sandboxes that end with their test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from nexus.local.daemon import Endpoint
from nexus.model.addresses import Address
from nexus.model.changes import Verb
from nexus.providers.e2b import E2BProvider, Settings
from tests.providers.subject import MemoryFiles, Subject


def settings_of(engine: Endpoint, *, api_key: str | None = None) -> Settings:
    return Settings(
        api_key=api_key or engine.api_key,
        api_url=engine.api_url,
        sandbox_url=engine.sandbox_url,
        is_local=True,
        account=engine.engine_id,
    )


@pytest.fixture
async def provider(engine: Endpoint) -> AsyncIterator[E2BProvider]:
    provider = E2BProvider(settings_of(engine))
    try:
        yield provider
    finally:
        await provider.aclose()


Make = Callable[..., Subject]


@pytest.fixture
async def make(provider: E2BProvider) -> AsyncIterator[Make]:
    """Makes subjects of a project of this test's own; what they leave behind is deleted afterwards."""
    made: list[Subject] = []
    project = f"p{secrets.token_hex(4)}"

    def make(address: str, files: MemoryFiles | None = None) -> Subject:
        subject = Subject(provider, Address.parse(address), files or MemoryFiles(), project=project)
        made.append(subject)
        return subject

    yield make
    for subject in sorted(made, key=lambda item: item.address.kind != "sandbox"):
        if subject.record is not None and subject.address.kind != "step":
            await subject.provider.execute(subject.call(Verb.DELETE))


@pytest.fixture
def inside(provider: E2BProvider) -> Callable[[Subject, str], Awaitable[str]]:
    """Runs a command in a subject's sandbox and gives what it wrote."""

    async def run(subject: Subject, command: str, *, user: str = "user") -> str:
        assert subject.record is not None
        sandbox = await provider._world.sandboxes.open(subject.record.id, str(subject.address))
        finished = await sandbox.run(command, user=user)
        return finished.stdout + finished.stderr

    return run
