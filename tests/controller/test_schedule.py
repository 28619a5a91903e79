"""When environments are looked at again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nexus.controller.schedule import JITTER, LONGEST_BACKOFF, Schedule

intervals = st.floats(min_value=1, max_value=86_400)
chances = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(intervals, chances)
def test_one_interval_is_a_promise(interval: float, chance: float) -> None:
    pause = Schedule(interval).pause(0, chance)
    assert interval * (1 - JITTER) <= pause <= interval


@given(intervals, st.integers(0, 10_000), chances)
def test_backoff_is_bounded_and_never_below_the_interval(interval: float, failures: int, chance: float) -> None:
    pause = Schedule(interval).pause(failures, chance)
    longest = max(interval, LONGEST_BACKOFF)
    assert interval * (1 - JITTER) <= pause <= longest * (1 + JITTER)


@given(intervals, st.integers(0, 50), chances)
def test_more_failures_never_mean_a_shorter_pause(interval: float, failures: int, chance: float) -> None:
    schedule = Schedule(interval, jitter=0.0)
    assert schedule.pause(failures, chance) <= schedule.pause(failures + 1, chance)


def test_each_failure_doubles_the_pause_until_it_is_long_enough() -> None:
    schedule = Schedule(60.0, jitter=0.0)
    assert [schedule.pause(count, 0.5) for count in range(7)] == [60, 120, 240, 480, 960, 1800, 1800]
