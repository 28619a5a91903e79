"""What is said while the local engine starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.cli import waiting
from nexus.cli.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(environment={"NEXUS_HOME": str(tmp_path)}, folder=tmp_path)


def test_where_nothing_moves_one_line_says_that_the_engine_starts(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting.waiting(settings, "Making the plan", is_local=True) as stop:
        stop()
    assert capsys.readouterr() == ("", "Starting the local engine …\n")


def test_nothing_is_said_of_an_engine_at_e2b_or_of_one_that_runs(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with waiting.waiting(settings, "Making the plan", is_local=False):
        pass
    monkeypatch.setattr("nexus.api.machine.engine_runs", lambda _: True)
    with waiting.waiting(settings, "Making the plan", is_local=True):
        pass
    assert capsys.readouterr() == ("", "")


def test_an_engine_that_was_seen_is_not_looked_for_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [True, False]
    monkeypatch.setattr("nexus.api.machine.engine_runs", lambda _: answers.pop())
    starts = waiting.engine_starts(settings.environment)
    assert [starts() for _ in range(4)] == [True, False, False, False]
