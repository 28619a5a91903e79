"""A run along its time: what is drawn where, and the chain that took longest."""

from __future__ import annotations

from xml.etree import ElementTree

from nexus.model.runs import Run
from nexus.render import pictures
from nexus.render.pictures import draw
from nexus.render.pictures.timeline import bars, timeline
from tests.render.drawn import HOSTILE, graph, plan
from tests.render.drawn_runs import RUN, operation, run


def drawing(found: Run) -> str:
    return timeline(bars(found), found.head.words)


def test_bars_lie_where_their_time_was() -> None:
    assert [(bar.operation.id, bar.start, bar.end) for bar in bars(RUN)] == [
        ("a", 0, 3),
        ("b", 0, 8),
        ("c", 3, 5),
        ("d", 8, 11),
    ]


def test_the_longest_chain_goes_back_along_what_was_waited_for() -> None:
    assert [bar.operation.id for bar in bars(RUN) if bar.critical] == ["b", "d"]


def test_what_a_kill_cut_off_is_drawn_to_the_end() -> None:
    cut_off = run(operation("a", 1, None, outcome=""), operation("b", 2, 7))
    assert {bar.operation.id: bar.end for bar in bars(cut_off)} == {"a": 6, "b": 6}
    assert "did not end" in drawing(cut_off)


def test_a_run_in_which_nothing_began_has_an_empty_line() -> None:
    assert bars(run(operation("a", None, None, outcome="cancelled"))) == ()
    ElementTree.fromstring(drawing(run()))


def test_a_bar_says_in_words_what_it_is_and_how_it_ended() -> None:
    drawn = ElementTree.fromstring(drawing(RUN))
    titles = [title.text or "" for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert [text.rpartition("]: ")[2] for text in titles] == [
        "created, 3.0s, succeeded",
        "installed  packages, 8.0s, succeeded",
        "created, 2.0s, succeeded",
        "running, 3.0s, failed",
    ]


def test_what_a_later_version_did_is_drawn_too() -> None:
    assert "polish" in drawing(run(operation("a", 1, 2, verb="polish")))


def test_the_page_takes_nothing_that_a_user_named_as_markup() -> None:
    whole = pictures.page(draw("shop", "default", graph(), plan()), RUN)
    assert HOSTILE not in whole
    assert 'id="switch"' in whole
    assert 'id="timeline"' not in pictures.page(draw("shop", "default", graph(), plan()))
