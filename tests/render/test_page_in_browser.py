"""The interactive page as a reader uses it, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from nexus.model.addresses import Address
from nexus.render import pictures
from nexus.render.pictures import draw
from tests.render.browser import Browser, find_chromium
from tests.render.drawn import HOSTILE, consequential, graph, plan
from tests.render.drawn_runs import RUN

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    started = Browser(program, tmp_path_factory.mktemp("chromium"))
    try:
        yield started
    finally:
        started.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "graph.html"
    path.write_text(pictures.page(draw("shop", "default", graph(), plan())), encoding="utf-8")
    return path.as_uri()


PANEL = "document.getElementById('panel').innerText"


def test_it_opens_without_complaints_and_asks_no_server_for_anything(browser: Browser, url: str) -> None:
    browser.open(url)
    assert "sandbox.db" in browser.run(PANEL)
    assert browser.complaints() == []
    assert browser.requests() == [url]


def test_what_comes_of_a_plan_stands_before_its_changes(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "plan.html"
    path.write_text(pictures.page(draw("shop", "default", graph(), consequential())), encoding="utf-8")
    browser.open(path.as_uri())
    shown = browser.run(PANEL)
    order = [
        f"error[policy-denied]: Nothing may reach {HOSTILE}",
        f'internet sandbox.web["eu"]: all of it, {HOSTILE}',
        "secret sandbox.db: secrets.token in env_vars.TOKEN",
        "an hour",
        'Assumed: the size of sandbox.web["eu"].',
        "template changed",
        "warning[long-timeout]",
    ]
    assert sorted(order, key=shown.find) == order
    assert all(text in shown for text in order)
    assert browser.run("document.getElementById('denial').innerText").startswith("Denied, for 1 reason")
    cells = browser.run("[...document.querySelectorAll('#panel td')].slice(0, 4).map((cell) => cell.innerText)")
    assert cells[0] == "an hour"
    assert all(text.lstrip("+-").startswith("$") for text in cells[1:])
    for theme in ("light", "dark"):
        browser.run(f"document.documentElement.dataset.theme = '{theme}'")
        opened, plain = (
            f"getComputedStyle(document.querySelector('#panel {name}')).color" for name in (".opens", "td")
        )
        assert browser.run(opened) != browser.run(plain)
    assert browser.complaints() == []


def test_a_click_shows_the_diff_and_where_it_comes_from(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.run(
        "[...document.querySelectorAll('.node')].find((node) => node.getAttribute('aria-label')"
        ".startsWith('sandbox.db')).querySelector('.box')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    shown = browser.run(PANEL)
    assert "replace: template changed" in shown
    assert '- "one:spec-1"' in shown
    assert "+ (known after apply)" in shown
    assert "(sensitive), another value" in shown
    assert "nexus.yaml:12" in shown
    assert "deletes data that nothing else holds" in shown
    assert browser.run("decodeURIComponent(location.hash)") == "#sandbox.db"
    assert browser.complaints() == []


def test_a_real_mouse_opens_an_instance(browser: Browser, url: str) -> None:
    browser.open(url)
    place = browser.run(
        "(() => { const box = document.querySelectorAll('.chip')[1].getBoundingClientRect();"
        " return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)
    assert browser.run(PANEL + ".includes('sandbox.web[\"us\"]')")


def test_the_keyboard_opens_a_node(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.run("document.querySelector('[data-node=n1]').focus()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13)
    assert "template.web" in browser.run(PANEL)


def test_what_a_node_needs_stands_out_while_the_mouse_is_over_it(browser: Browser, url: str) -> None:
    browser.open(url)
    related = "[...document.querySelectorAll('.node.related')].map((n) => n.getAttribute('aria-label').split(' ')[0])"
    middle = (
        "(() => { const box = document.querySelector('[data-node=n2] .box').getBoundingClientRect();"
        " return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", **browser.run(middle))
    assert browser.run(related) == ["template.web", "sandbox.db", "sandbox.web"]
    assert browser.run("document.querySelectorAll('.edge.related').length") == 2
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=200)
    assert browser.run(related) == []


def test_changes_are_listed_by_what_happens_with_many_instances_as_one(browser: Browser, url: str) -> None:
    browser.open(url)
    headings = browser.run("[...document.querySelectorAll('#panel h3')].map((heading) => heading.textContent)")
    assert headings[:5] == ["create 3", "update 1", "replace 1", "delete 2", "run 1"]
    assert "sandbox.web × 3" in browser.run(PANEL)


def test_what_is_chosen_in_the_list_comes_into_the_middle_of_the_drawing(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.run("zoom(0.2, all.x, all.y)")
    browser.run(
        "[...document.querySelectorAll('#panel li button')].find((b) => b.innerText.includes('sandbox.db')).click()"
    )
    off = browser.run(
        "(() => { const box = document.querySelector('[data-node=n2] .box').getBoundingClientRect();"
        " const room = document.getElementById('canvas').getBoundingClientRect();"
        " return Math.hypot(box.x + box.width / 2 - room.x - room.width / 2,"
        " box.y + box.height / 2 - room.y - room.height / 2); })()"
    )
    assert off < 2
    assert browser.complaints() == []


def test_search_leaves_what_fits(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.run("search.value = 'one:spec'; search.dispatchEvent(new Event('input'))")
    matches = browser.run("[...document.querySelectorAll('.node.match')].map((n) => n.getAttribute('aria-label'))")
    assert matches == ["sandbox.db -/+ replace, on the critical path"]
    assert "sandbox.db" in browser.run(PANEL)
    assert "sandbox.old" not in browser.run(PANEL)
    browser.run("search.value = ''; search.dispatchEvent(new Event('input'))")
    assert "sandbox.old" in browser.run(PANEL)


def test_an_address_in_the_link_opens_its_node(browser: Browser, url: str) -> None:
    address = str(Address("sandbox", "web", HOSTILE))
    browser.open(f"{url}#{quote(address)}")
    assert browser.run(PANEL).splitlines()[2] == address
    assert browser.run("document.title") == "nexus: shop (default)", "nothing that a user named ran as a script"
    assert browser.run("document.querySelectorAll('img').length") == 0


def test_light_and_dark_differ_and_can_be_chosen(browser: Browser, url: str) -> None:
    browser.open(url)
    color = "getComputedStyle(document.body).backgroundColor"
    before = browser.run(color)
    browser.run("document.getElementById('theme').click()")
    assert browser.run(color) != before
    browser.run("document.getElementById('theme').click()")
    assert browser.run(color) == before


def test_the_last_run_takes_the_place_of_the_graph_and_tells_of_its_bars(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    path.write_text(pictures.page(draw("shop", "default", graph(), plan()), RUN), encoding="utf-8")
    browser.open(path.as_uri())
    visible = "['canvas', 'timeline'].map((id) => document.getElementById(id).checkVisibility())"
    assert browser.run(visible) == [True, False]
    browser.run("document.getElementById('switch').click()")
    assert browser.run(visible) == [False, True]
    browser.run("document.querySelector('[data-operation=d]').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    shown = browser.run(PANEL)
    assert "running: failed" in shown
    assert HOSTILE in shown, "as text"
    assert browser.complaints() == []
