from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexus.local.daemon import Endpoint
from tests.conftest import session_engine
from tests.local.engine_client import kill_all


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """An engine of this folder's own: its tests move the clock, and limit everybody."""
    with session_engine(request) as endpoint:
        yield endpoint


@pytest.fixture
def clean_engine(engine: Endpoint) -> Iterator[Endpoint]:
    """The session's engine without any sandboxes, before and after."""
    kill_all(engine)
    yield engine
    kill_all(engine)
