"""Real machines for the tests, on every tier that works here."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from nexus.local.isolation import tiers
from nexus.local.isolation.namespaces import NamespaceIsolation
from nexus.local.settings import place_for_sockets
from nexus.local.storage.removal import remove_tree
from tests.local.isolation.workshop import Places, Workshop


@pytest.fixture(scope="session")
def places() -> Iterator[Places]:
    root = Path(tempfile.mkdtemp(prefix="nexus-iso-"))
    before = os.umask(0o022)  # as in a daemon
    with tempfile.TemporaryDirectory(prefix="nexus-", dir=place_for_sockets()) as runtime:
        yield Places(store=root / "store", runtime=Path(runtime))
    os.umask(before)
    remove_tree(root)


@pytest.fixture(scope="session")
def verdicts(places: Places) -> dict[str, str]:
    """Why a tier cannot be tested here; empty for one that can."""

    async def try_tier(tier: tiers.Tier) -> str:
        isolation = NamespaceIsolation(tier, places.store, places.runtime)
        try:
            await isolation.open()
            await isolation.self_test()
        except Exception as error:
            return f"{tier.name} does not work here: {error}"
        finally:
            await isolation.close()
        return ""

    return {tier.name: asyncio.run(try_tier(tier)) for tier in tiers.ALL}


@pytest.fixture(scope="session", params=[tier.name for tier in tiers.ALL])
def tier(request: pytest.FixtureRequest, verdicts: dict[str, str]) -> str:
    """The name of a tier that works here."""
    if problem := verdicts[request.param]:
        pytest.skip(problem)
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def isolation(tier: str, places: Places) -> AsyncIterator[NamespaceIsolation]:
    made = NamespaceIsolation(tiers.by_name(tier), places.store, places.runtime)
    await made.open()
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def workshop(isolation: NamespaceIsolation, places: Places) -> AsyncIterator[Workshop]:
    made = Workshop(isolation=isolation, places=places, started=[])
    yield made
    for machine in made.started:
        await machine.kill()
        await isolation.discard(machine.id)
