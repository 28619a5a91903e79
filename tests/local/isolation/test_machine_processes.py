"""Processes as they are seen from outside of their machine, among all others of the host."""

from __future__ import annotations

import os

from nexus.local.isolation.machine_processes import MachineProcesses
from tests.processes import oddly_named


def test_names_that_are_no_text_hide_no_process() -> None:
    with oddly_named() as pid:
        below = MachineProcesses.below(os.getpid())
        assert pid in below.pids()
        assert pid in below.children()
        assert below.cpu_seconds() > 0
