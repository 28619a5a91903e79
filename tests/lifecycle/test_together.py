"""Projects that are applied at the same time share an account, and do not get in each other's way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus.local import daemon
from tests.lifecycle.scenario import Scenario
from tests.processes import Outcome

pytestmark = pytest.mark.engine


def test_first_applies_at_the_same_time_share_the_catalogue(engine_home: Path, tmp_path: Path) -> None:
    """Each finds the catalogue's template missing and builds it; E2B ends the older build for the newer one."""
    engine = daemon.ensure_running(engine_home)
    scenarios = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        scenarios.append(Scenario(folder, engine))
        scenarios[-1].write("sandboxes: {box: {timeout: 10m}}")

    def apply(scenario: Scenario) -> Outcome:
        return scenario.apply()

    with ThreadPoolExecutor(len(scenarios)) as pool:
        outcomes = list(pool.map(apply, scenarios))
    for scenario, outcome in zip(scenarios, outcomes, strict=True):
        outcome.expect(0)
        scenario.expect_no_changes()
        scenario.expect_live("sandbox.box")
