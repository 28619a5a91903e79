"""What a machine uses, as envd sees it."""

from __future__ import annotations

from nexus.local.envd.metrics import Meter
from tests.processes import oddly_named


def test_processes_count_whatever_they_are_called() -> None:
    with oddly_named():
        sample = Meter().sample()
    assert 0 < sample["mem_used"] < sample["mem_total"]
