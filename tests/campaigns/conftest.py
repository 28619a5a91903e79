"""An engine of these tests' own: its failures and its clock are not for others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexus.local.daemon import Endpoint
from tests.conftest import session_engine


@pytest.fixture(scope="module")
def own_engine(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    with session_engine(request) as endpoint:
        yield endpoint
