"""A project on the session's engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.local.daemon import Endpoint
from tests.lifecycle.scenario import Scenario


@pytest.fixture
def scenario(tmp_path: Path, engine: Endpoint) -> Iterator[Scenario]:
    made = Scenario(tmp_path, engine)
    yield made
    made.clean_up()
