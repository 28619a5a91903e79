"""What tests of the local engine share. A folder whose tests move the clock has an ``engine`` of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexus.local.daemon import Endpoint
from tests.local.engine_client import kill_all


@pytest.fixture
def clean_engine(engine: Endpoint) -> Iterator[Endpoint]:
    """The engine of the folder's tests without any sandboxes, before and after."""
    kill_all(engine)
    yield engine
    kill_all(engine)
