"""Projects on the session's engine, of which nothing stays after their test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus.local.daemon import Endpoint
from tests.lifecycle.scenario import Scenario

NewScenario = Callable[[], Scenario]


@pytest.fixture
def new_scenario(tmp_path: Path, engine: Endpoint) -> Iterator[NewScenario]:
    """Makes projects, each with a name and a folder of its own. May be called by several threads."""
    made: list[Scenario] = []

    def new() -> Scenario:
        scenario = Scenario(Path(tempfile.mkdtemp(prefix="project-", dir=tmp_path)), engine)
        made.append(scenario)
        return scenario

    yield new
    for scenario in made:
        scenario.clean_up()


@pytest.fixture
def scenario(new_scenario: NewScenario) -> Scenario:
    return new_scenario()
