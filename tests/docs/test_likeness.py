"""What counts as the same output, and what does not."""

from __future__ import annotations

import pytest

from tests.docs.likeness import alike
from tests.docs.screen import Screen, without_colours


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("  ✓ sandbox.web: created  0.1s", "  ✓ sandbox.web: created  12ms"),
        ("  ✓ sandbox.web: created  0.7s", "  ✓ sandbox.web: created  1.1s  (started its start_command 0.6s)"),
        ("  ✓ web: created  0.7s", "  ✓ web: created  3.5s\n    created 0.6s, started its start_command 1.4s"),
        ("web   i1s6oooebxfv7lix8glup   2.1s   59m58s", "web  i2kap80d53s9lglug6em8  3.6s  1h 0m"),
        ('url = "http://127.77.0.1:25241"', 'url = "http://127.77.0.12:26953"'),
        ('inputs  sandbox = "izawtrmood02wv… → (known)', 'inputs  sandbox = "i75cmzhoo9jd6… → (known)'),
        ("nexus-base:spec-96a72f544e7c", "nexus-base:spec-0f85fec7bf74"),
        ("2026-11-23 11:01:52 by root@vm", "2027-01-02 00:00:00 by ada@laptop-2"),
        ("a\nb", "b\n\na\n"),
        ("a\n…\nc", "a\nb\nc"),
    ],
)
def test_what_differs_from_run_to_run_does_not_count(shown: str, printed: str) -> None:
    assert alike(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("Plan: 2 to create.", "Plan: 3 to create."),
        ("sandbox.web: created", "sandbox.db: created"),
        ("a\nb", "a\nb\nb"),
        ("a\n…\nd", "a\nb\nc"),
        ("", "something"),
        ("ports  http = 8000", "ports  http = 8001"),
    ],
)
def test_everything_else_does(shown: str, printed: str) -> None:
    assert not alike(shown, printed)


def test_a_screen_shows_what_is_left_in_the_end() -> None:
    drawn = "first\r\n⠋ working\r\n⠋ more\x1b[1A\r\x1b[2K\x1b[32mdone\x1b[0m\r\n\x1b[2Klast"
    shown = Screen().write(drawn).ansi()
    assert without_colours(shown) == "first\ndone\nlast"
    assert shown == "first\n\x1b[32mdone\x1b[0m\nlast"
