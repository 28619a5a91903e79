from __future__ import annotations

import pytest

from nexus.model.changes import Effect, FieldDiff
from nexus.model.values import Value
from nexus.render.fields import changed_field


def shown(before: Value, after: Value, width: int) -> str:
    return changed_field(FieldDiff(path="x", before=before, after=after, effect=Effect.SETUP), width).plain


@pytest.mark.parametrize("width", [50, 60, 100])
def test_a_narrow_terminal_shows_where_long_texts_differ(width: int) -> None:
    text = shown("python3 /home/user/app/server.py Hello", "python3 /home/user/app/server.py Moin", width)
    assert "Hello" in text
    assert "Moin" in text
    assert len(text) <= width


def test_short_texts_are_shown_whole() -> None:
    assert shown("kill", "pause", 60) == '"kill" → "pause"'
