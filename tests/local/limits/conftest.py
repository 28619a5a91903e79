from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexus.local.daemon import Endpoint
from tests.conftest import session_engine


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """An engine of this folder's own: its tests move the clock, and limit everybody."""
    with session_engine(request) as endpoint:
        yield endpoint
