"""When an environment is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nexus.model.environments import Environment, Standing

USED = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def standing(**known: Any) -> Standing:
    given = {"resources": 1, "last_used": USED, "ttl": 3600, **known}
    return Standing(environment=Environment("preview", "login"), declared=False, **given)


def test_it_is_over_its_time_after_it_was_last_used() -> None:
    assert standing().name == "preview/login"
    assert not standing().is_over(USED + HOUR / 2)
    assert standing().is_over(USED + HOUR)


def test_it_is_not_over_while_a_sandbox_may_live_on() -> None:
    found = standing(sandboxes_end=USED + 2 * HOUR)
    assert not found.is_over(USED + HOUR)
    assert found.is_over(USED + 2 * HOUR)


@pytest.mark.parametrize("known", [{"ttl": None}, {"resources": 0}, {"last_used": None}])
def test_without_a_time_or_anything_in_it_it_never_is(known: dict[str, Any]) -> None:
    assert standing(**known).ends is None
    assert not standing(**known).is_over(USED + 1000 * HOUR)
