"""Two runs on one state: the second is refused or waits, and one that lost its lock begins nothing new."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.lifecycle.scenario import Scenario
from tests.local.waiting import wait_until
from tests.processes import Run

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

MANIFEST = """
sandboxes:
  box:
    timeout: 20m
    run_commands:
      - touch /srv/begun; while [ ! -e /srv/go ]; do sleep 0.1; done
      - echo second >> /srv/second
"""
BOX = "sandbox.box"


@contextmanager
def an_apply_in_its_middle(scenario: Scenario) -> Iterator[Run]:
    """A run whose first command waits for :func:`let_go`. It is ended with the test, whatever becomes of it."""
    scenario.write(MANIFEST)
    run = scenario.start("apply", "-y")
    try:
        wait_until(lambda: _has_begun(scenario), "the first command runs", 60)
        yield run
    finally:
        run.kill()


def _has_begun(scenario: Scenario) -> bool:
    return bool(scenario.live()) and scenario.inside(BOX, "ls /srv") == "begun"


def let_go(scenario: Scenario) -> None:
    scenario.inside(BOX, "touch /srv/go", user="root")


def test_a_second_apply_is_refused_with_the_holder_and_since_when(scenario: Scenario) -> None:
    with an_apply_in_its_middle(scenario) as first:
        refused = scenario.apply().expect(1)
        assert "error[state-locked]" in refused.stderr
        assert re.search(rf"\(process {first.pid}\) is running «nexus apply» since \d{{4}}-\d\d-\d\dT", refused.stderr)
        assert "nexus state unlock" in refused.stderr
        scenario.run("state", "rm", BOX).expect(1)
        assert scenario.run("state", "list").expect(0).stdout.split() == [BOX]  # reading needs no lock
        seen = scenario.plan()["diagnostics"]
        assert [(item["code"], f"(process {first.pid})" in item["detail"]) for item in seen] == [
            ("run-in-progress", True)
        ]
        let_go(scenario)
        first.wait().expect(0)
    scenario.expect_no_changes()


def test_a_second_apply_may_wait_for_the_first(scenario: Scenario) -> None:
    with an_apply_in_its_middle(scenario) as first:
        second = scenario.start("apply", "-y", "--lock-timeout", "2m")
        scenario.apply("--lock-timeout", "1s").expect(1)
        let_go(scenario)
        first.wait().expect(0)
        second.wait().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX)
    assert scenario.inside(BOX, "cat /srv/second") == "second"


def test_a_lock_file_that_is_removed_stops_the_apply_before_its_next_effect(scenario: Scenario) -> None:
    with an_apply_in_its_middle(scenario) as first:
        (scenario.folder / ".nexus/default/lock").unlink()
        let_go(scenario)
        ended = first.wait().expect(3)
        assert "error[lock-lost]" in ended.stderr
        assert scenario.inside(BOX, "ls /srv/second || true") == ""
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX)
    assert scenario.inside(BOX, "cat /srv/second") == "second"


def test_an_unlocked_apply_begins_nothing_new(scenario: Scenario) -> None:
    with an_apply_in_its_middle(scenario) as first:
        hint = re.search(r"nexus state unlock (\w+)", scenario.apply().expect(1).stderr)
        assert hint is not None
        wrong = scenario.run("state", "unlock", "not-its-id").expect(1)
        assert "error[lock-mismatch]" in wrong.stderr
        assert f"process {first.pid}" in scenario.run("state", "unlock", hint[1]).expect(0).stdout
        let_go(scenario)
        assert "error[lock-lost]" in first.wait().expect(3).stderr
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.run("state", "unlock", "--force").expect(0).stdout == "The state was not locked.\n"


def test_a_suspended_apply_is_replaced_once_its_lease_is_over_and_stops_when_it_wakes_up(scenario: Scenario) -> None:
    with an_apply_in_its_middle(scenario) as first:
        os.kill(first.pid, signal.SIGSTOP)
        try:
            scenario.apply().expect(1)
            os.utime(scenario.folder / ".nexus/default/lock", (0, 0))
            let_go(scenario)
            second = scenario.apply().expect(0)
            assert "warning[lock-taken-over]" in second.stderr
        finally:
            with suppress(ProcessLookupError):
                os.kill(first.pid, signal.SIGCONT)
        assert "error[lock-lost]" in first.wait().expect(3).stderr
    scenario.expect_no_changes()
    scenario.expect_live(BOX)
    assert scenario.inside(BOX, "cat /srv/second") == "second"
