"""The page: what it shows, whom it lets in, and how a real browser takes it."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from nexus.controller.controller import Controller
from nexus.controller.settings import Key, Policy
from nexus.controller.status import Board, Phase
from nexus.controller.web import Serving, Window, make_app
from nexus.controller.web.environment import environment
from nexus.controller.web.overview import overview
from nexus.model.addresses import Address
from nexus.model.changes import Action, Change
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.events import Outcome
from nexus.model.runs import RunEnd, RunStatus, RunSummary
from nexus.planning import Drift, DriftCause, DriftReport
from nexus.render import pictures
from nexus.render.pictures import draw
from nexus.workflows.runs import Listed
from tests.controller.boards import board
from tests.controller.fakes import KEY, WEB, FakeProject, World, make_plan
from tests.fakes.runs import run_head
from tests.render.browser import Browser, find_chromium
from tests.render.drawn import graph, plan

HOSTILE = '<img src=x onerror="document.title=1">'
PROD = Key("shop", "prod")
LAB = Key("shop", "lab")


class ShownProject(FakeProject):
    """With a picture and a history as real ones have."""

    async def picture(self, form: str, plan_: object = None) -> str:
        drawn = draw("shop", "dev", graph(), plan())
        return pictures.svg(drawn) if form == "svg" else pictures.page(drawn)

    async def runs(self, *, limit: int | None = None) -> list[Listed]:
        head = run_head(command="apply", environment="dev", holder=f"me@{HOSTILE}", operations=3)
        end = RunEnd(ended_at="2026-01-02T03:04:07Z", seconds=2.5, outcomes={Outcome.SUCCEEDED: 3})
        return [Listed(RunSummary(head, end), RunStatus.SUCCEEDED)]


@pytest.fixture
def window(world: World) -> Window:
    """One environment that is as it should be, one whose plan waits, and one that failed."""
    board = Board(world.settings("dev", "prod", "lab").environments)
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    gone = Drift(address=WEB, id="i1", uid="u1", cause=DriftCause.GONE, detail=f"killed by {HOSTILE}")
    hidden = replace(gone, address=Address.parse("sandbox.left"), ignored=True)
    board.change(
        KEY,
        phase=Phase.SYNCED,
        revision="0123456789abcdef",
        title=f"Change {HOSTILE}",
        applied="0123456789abcdef",
        plan=make_plan(WEB),
        drift=DriftReport(looked_at=3, drifts=(gone, hidden)),
        drifted_at=moment,
        observed_at=moment,
    )
    waiting = replace(make_plan(WEB, serial=0), changes=(Change(address=WEB, action=Action.CREATE, cause=HOSTILE),))
    board.change(PROD, phase=Phase.WAITING, policy=Policy.APPROVE, digest="41d0b8c2a7f3", plan=waiting)
    board.change(
        LAB, phase=Phase.FAILED, failures=2, diagnostics=(error("no-answer", HOSTILE, hint="wait"),), observed_at=moment
    )
    project = ShownProject()
    return Window(board, {KEY: project, PROD: project, LAB: None}.__getitem__, lambda: b"# HELP x\n", lambda: True)


@asynccontextmanager
async def client(window: Window, host: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(window, host))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8460") as made:
        yield made


async def test_each_environment_is_shown_with_what_matters_and_nothing_is_markup(window: Window) -> None:
    async with client(window) as web:
        index = (await web.get("/")).text
        assert [f"shop/{name}" in index for name in ("dev", "prod", "lab")] == [True] * 3
        dev = (await web.get("/environments/shop/dev")).text
        assert "killed by" in dev
        assert "sandbox.left" not in dev, "what is to be left alone is no drift"
        assert "Planned" not in dev, "what was applied is not planned any more"
        assert "2026-01-02 03:04:05" in dev
        prod = (await web.get("/environments/shop/prod")).text
        assert "nexus reconcile approve shop -e prod --digest 41d0b8c2a7f3" in prod
        assert "1 to create" in prod
        lab = (await web.get("/environments/shop/lab")).text
        assert "error[no-answer]" in lab
        assert "graph.svg" not in lab
    assert not any("<img src=x" in text for text in (index, dev, prod, lab))
    assert not any("<script" in text for text in (index, dev, prod, lab))


def test_what_needs_somebody_is_first_and_what_is_the_same_is_told_once() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    text = overview(board(100, now).all, now)
    assert "<title>nexus: 16 failed, 4 no source, 4 waiting, 4 pending</title>" in text
    cards = re.findall(r'<section class="case (\w+)">(.*?)</section>', text)
    assert [tone for tone, _ in cards] == ["failed", "failed", "failed", "waiting", "pending"]
    wrong, away, unread, waiting, pending = (re.sub("<[^>]+>", "", card) for _, card in cards)
    assert "× 4" in wrong
    assert "There is no field tmplate" in wrong
    assert "× 12" in away
    assert away.count("Connection refused") == 1
    assert "no source" in unread
    assert "3 to create" in waiting
    assert "deletes data of 1 object" in waiting
    assert "deletes data of 2 objects" in pending
    rows = re.findall("<tr><td.*?</tr>", text)
    assert len(rows) == 72
    assert "applying" in rows[0], "what goes on stands before what is done"
    assert ">12s ago<" in rows[-1]
    assert ">in 48s<" in rows[-1]


def test_one_environment_that_is_as_it_should_be_needs_nobody() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    text = overview(board(1, now).all, now)
    assert "<title>nexus: 1 environment</title>" in text
    assert "section" not in text


def test_a_plan_that_waits_says_what_comes_of_it() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    text = environment(board(3, now).all[2], (), now, has_graph=False)
    shown = re.sub("<[^>]+>", "", text)
    for said in ("opens secret sandbox.db: secrets.token in env_vars.TOKEN", "Cost: $0.1656 an hour", "long-timeout"):
        assert said in shown
    assert shown.index("Waits for approval") < shown.index("Planned") < shown.index("Drift")


async def test_nothing_can_be_changed_and_nothing_else_be_loaded(window: Window) -> None:
    paths = ["/", "/style.css", "/metrics", "/api/environments", "/environments/shop/dev", "/healthz", "/readyz"]
    async with client(window) as web:
        for path in paths:
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                assert (await web.request(method, path)).status_code == 405
            answer = await web.get(path)
            assert answer.status_code == 200
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = (await web.get("/")).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert (await web.get("/environments/shop/nope")).status_code == 404
        assert (await web.get("/environments/shop/lab/graph")).status_code == 404


async def test_a_page_elsewhere_can_not_read_this_one_by_another_name(window: Window) -> None:
    async with client(window) as web:
        for host in ("evil.example", "127.0.0.1.evil.example:8460"):
            assert (await web.get("/", headers={"Host": host})).status_code == 400
        for host in ("localhost:8460", "127.0.0.1", "[::1]:8460"):
            assert (await web.get("/", headers={"Host": host})).status_code == 200
    async with client(window, host="0.0.0.0") as web:
        assert (await web.get("/", headers={"Host": "nexus.example"})).status_code == 200


async def test_health_and_readiness_say_when_they_are_not_given(window: Window) -> None:
    async with client(replace(window, is_alive=lambda: False)) as web:
        assert (await web.get("/healthz")).status_code == 503
        assert (await web.get("/readyz")).status_code == 200
    window.board.change(KEY, phase=Phase.STARTING)
    async with client(window) as web:
        assert (await web.get("/readyz")).status_code == 503


async def test_a_store_that_is_away_does_not_take_the_page_away(window: Window) -> None:
    class Away(FakeProject):
        async def runs(self, *, limit: int | None = None) -> list[Listed]:
            raise DiagnosticsError(error("state-unreadable", "The state can't be read"))

        async def picture(self, form: str, plan_: object = None) -> str:
            raise DiagnosticsError(error("state-unreadable", "The state can't be read"))

    async with client(replace(window, project=lambda _: Away())) as web:
        assert "None is on record" in (await web.get("/environments/shop/dev")).text
        answer = await web.get("/environments/shop/dev/graph")
        assert (answer.status_code, "state-unreadable" in answer.text) == (503, True)


async def test_a_controller_serves_its_page_until_it_ends(world: World) -> None:
    controller = Controller(replace(world.settings(), host="127.0.0.1", port=0), world.parts())
    task = asyncio.create_task(controller.run())
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=f"http://127.0.0.1:{controller.port}") as web:
        while (await web.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - there is nobody who could tell
            await asyncio.sleep(0.01)
        assert (await web.get("/healthz")).text == "ok\n"
        assert "synced" in (await web.get("/")).text
    with pytest.raises(DiagnosticsError, match="can't listen"):
        Controller(replace(world.settings(), host="127.0.0.1", port=controller.port or 0), world.parts())
    controller.stop()
    async with asyncio.timeout(60):
        await task
    async with httpx.AsyncClient() as web:
        with pytest.raises(httpx.ConnectError):
            await web.get(f"http://127.0.0.1:{controller.port}/")


@pytest.fixture
def url(window: Window) -> Iterator[str]:
    """The window on a real port, served from a thread with an event loop of its own: the browser's calls block."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    held: list[tuple[int, Callable[[], object]]] = []

    async def serve() -> None:
        serving = Serving(make_app(window, "127.0.0.1"), "127.0.0.1", 0)
        task = asyncio.create_task(serving.serve())
        held.append((serving.port, lambda: loop.call_soon_threadsafe(task.cancel)))
        started.set()
        await asyncio.gather(task, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(60)
    port, end = held[0]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        end()
        thread.join()
        loop.close()


@pytest.mark.slow
def test_a_browser_shows_all_of_it_without_complaints(url: str, tmp_path: Path) -> None:
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    browser = Browser(program, tmp_path)
    try:
        browser.open(url)
        assert browser.complaints() == []
        shown = browser.run("[...document.querySelectorAll('.badge')].map((badge) => badge.innerText)")
        assert shown == ["failed", "waiting", "synced"]
        green = browser.run("getComputedStyle(document.querySelector('.badge.synced')).color")
        red = browser.run("getComputedStyle(document.querySelector('.badge.failed')).color")
        assert green != red, "the stylesheet is in use"

        browser.open(f"{url}/environments/shop/dev")
        assert browser.complaints() == []
        assert browser.run("document.title") == "nexus: shop/dev, synced", "nothing that others wrote ran as a script"
        assert browser.run("[...document.images].every((image) => image.complete && image.naturalWidth > 100)")
        assert all(request.startswith(url) for request in browser.requests())
        assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

        browser.call("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=True)
        for path in ("/", "/environments/shop/dev", "/environments/shop/prod", "/environments/shop/lab"):
            browser.open(f"{url}{path}")
            assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
        browser.call("Emulation.clearDeviceMetricsOverride")

        browser.open(f"{url}/environments/shop/dev/graph")
        assert browser.complaints() == []
        assert "sandbox.db" in browser.run("document.getElementById('panel').innerText"), "its own script may run"
    finally:
        browser.close()
