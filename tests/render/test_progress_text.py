"""An apply as it is shown, replayed from events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Operation, Plan, PlanOptions, Verb
from nexus.model.diagnostics import SourcePos, SourceRange, error
from nexus.model.events import (
    ApplyFinished,
    ApplyStarted,
    DiagnosticRaised,
    Event,
    InterruptReceived,
    LogLine,
    OperationFinished,
    OperationProgress,
    OperationStarted,
    Outcome,
    PlanReady,
)
from nexus.model.state import Target
from nexus.render.progress import Progress
from nexus.render.tail import Tail
from nexus.render.words import doing, done
from tests.render.conftest import Compare, Screen

BASE = Address("catalogue", "base")
WEB, BAD, OLD = (Address("sandbox", name) for name in ("web", "bad", "old"))
STEP = Address("step", "p.s")
PLACE = SourceRange("nexus.yaml", SourcePos(2, 3), SourcePos(2, 6))
SOURCE = ["sandboxes:", "  bad:", "    template: base"]


def op(number: int, verb: Verb, address: Address, unit: str = "") -> Operation:
    return Operation(id=str(number), verb=verb, address=address, unit=unit)


BUILD = op(1, Verb.CREATE, BASE)
CREATE, ARM = op(2, Verb.CREATE, WEB), op(3, Verb.ARM, WEB)
INSTALL = op(4, Verb.INSTALL, BAD, "pip")
RUN = op(5, Verb.RUN_STEP, STEP)
DELETE_OLD, CREATE_OLD = op(6, Verb.DELETE, OLD), op(7, Verb.CREATE, OLD)
PLAN = Plan(
    project="shop",
    environment="default",
    target=Target("local", "engine"),
    lineage="l",
    base_serial=0,
    changes=(
        Change(address=BASE, action=Action.CREATE, cause="not built yet"),
        Change(address=WEB, action=Action.CREATE, cause="not in state"),
        Change(address=BAD, action=Action.UPDATE, cause="packages changed", source=PLACE),
        Change(address=OLD, action=Action.REPLACE, cause="template changed"),
        Change(address=STEP, action=Action.RUN, cause="not run yet"),
    ),
    operations=(BUILD, CREATE, ARM, INSTALL, DELETE_OLD, CREATE_OLD, RUN),
)
PROBLEM = error(
    "execution-error",
    "pip failed with exit code 1",
    detail="ERROR: No matching distribution found for a-package-with-a-name-that-nobody-would-ever-choose-for-one",
    hint="check the names and versions, and that the sandbox may reach the registry",
    address="sandbox.bad",
)


def finished(operation: Operation, outcome: Outcome = Outcome.SUCCEEDED, seconds: float = 0.5) -> OperationFinished:
    return OperationFinished(operation=operation, outcome=outcome, seconds=seconds)


FAILING: Sequence[Event] = (
    PlanReady(plan=PLAN),
    ApplyStarted(operations=7),
    OperationStarted(operation=BUILD),
    LogLine(operation=BUILD, stream="build", text="chatter of a build"),
    finished(BUILD, seconds=12.3),
    OperationStarted(operation=CREATE),
    OperationProgress(operation=CREATE, message="creating from nexus-base"),
    finished(CREATE),
    OperationStarted(operation=ARM),
    finished(ARM),
    OperationStarted(operation=INSTALL),
    LogLine(operation=INSTALL, stream="stderr", text="WARNING: a line that explains it"),
    replace(finished(INSTALL, Outcome.FAILED, 65), diagnostic=PROBLEM),
    OperationStarted(operation=DELETE_OLD),
    finished(DELETE_OLD),
    OperationStarted(operation=CREATE_OLD),
    LogLine(operation=CREATE_OLD, stream="stdout", text="   "),
    LogLine(operation=CREATE_OLD, stream="stdout", text="hello"),
    finished(CREATE_OLD),
    DiagnosticRaised(diagnostic=error("some-error", "Something else")),
    replace(finished(RUN, Outcome.SKIPPED), reason="sandbox.bad failed"),
    ApplyFinished(
        seconds=78,
        changes={
            BASE: Outcome.SUCCEEDED,
            WEB: Outcome.SUCCEEDED,
            BAD: Outcome.FAILED,
            OLD: Outcome.SUCCEEDED,
            STEP: Outcome.SKIPPED,
        },
    ),
)


def show(events: Sequence[Event], screen: Screen, *, width: int = 120, verbose: bool = False) -> str:
    console, stream = screen(width)
    progress = Progress(console, lambda name: SOURCE, verbose=verbose)
    for event in events:
        progress(event)
    return stream.getvalue()


def test_a_run_with_a_failure(screen: Screen, golden: Compare) -> None:
    golden("apply-with-a-failure", show(FAILING, screen))


def test_what_tools_say_is_folded_unless_they_fail_or_it_is_asked_for(screen: Screen) -> None:
    text = show(FAILING, screen)
    assert "chatter" not in text
    assert "sandbox.bad │ WARNING: a line that explains it" in text
    assert "catalogue.base │ chatter of a build" in show(FAILING, screen, verbose=True)


def test_a_run_that_is_destroyed_or_interrupted_says_so(screen: Screen) -> None:
    plan = replace(PLAN, options=PlanOptions(destroy=True), changes=(replace(PLAN.changes[1], action=Action.DELETE),))
    text = show([PlanReady(plan=plan), ApplyFinished(seconds=1, changes={WEB: Outcome.SUCCEEDED})], screen)
    assert text.endswith("Destroy complete in 1.0s: 1 deleted.\n")
    stopped = [
        PlanReady(plan=PLAN),
        InterruptReceived(count=1),
        InterruptReceived(count=2),
        replace(finished(CREATE, Outcome.CANCELLED), reason="interrupted"),
        ApplyFinished(seconds=1, changes={WEB: Outcome.CANCELLED}, interrupted=True),
    ]
    text = show(stopped, screen)
    assert "Interrupted: finishing what is in flight; press Ctrl-C again to cancel it" in text
    assert "Apply interrupted in 1.0s: 1 cancelled." in text
    assert "Run «nexus apply» again to continue" in text


@pytest.mark.parametrize("verb", list(Verb))
def test_every_verb_has_words(verb: Verb) -> None:
    operation = op(1, verb, WEB, "run_commands[0]")
    assert doing(operation)
    assert done(operation)


def test_the_tail_shows_what_runs_and_leaves_nothing_behind(screen: Screen) -> None:
    console, stream = screen(80, color=True)
    tail = Tail(Progress(console, lambda _: SOURCE, live=True))
    for event in FAILING:
        tail(event)
        if isinstance(event, OperationProgress):
            assert "\x1b[?25l" in stream.getvalue(), "the cursor hides while the board is drawn"
    tail.close()
    text = stream.getvalue()
    assert "\x1b[?25h" in text
    assert text.endswith("what was done is \nrecorded.\n")


def board_at(running: int, seconds: float, screen: Screen, *, height: int = 24) -> list[str]:
    """The board when ``running`` sandboxes have been set up for so many seconds, each of which has written lines."""
    now = 0.0
    console, _ = screen(80, color=True)
    console.height = height
    progress = Progress(console, lambda _: SOURCE, lambda: now, live=True)
    operations = [op(number, Verb.INSTALL, Address("sandbox", f"s{number}"), "pip") for number in range(running)]
    for event in (ApplyStarted(operations=running), *(OperationStarted(operation=item) for item in operations)):
        progress(event)
    for item in operations:
        for number in range(5):
            progress(
                LogLine(operation=item, stream="stdout", text=f"\x1b[31mpart {number}\x1b[0m\r\x1b[Kline {number}\n")
            )
    now = seconds
    assert progress.board is not None
    with console.capture() as capture:
        console.print(progress.board.render())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_last_lines_of_what_is_slow_are_shown_below_it(screen: Screen) -> None:
    quick = board_at(1, 2.0, screen)
    assert quick[0].split() == ["⠋", "sandbox.s0:", "installing", "pip", "packages", "line", "4", "2.0s"]
    slow = board_at(1, 4.0, screen)
    assert slow[1:4] == ["    │ line 2", "    │ line 3", "    │ line 4"]


def test_the_board_never_fills_the_terminal(screen: Screen) -> None:
    assert len(board_at(3, 60.0, screen, height=24)) == 3 * 4 + 1
    small = board_at(30, 60.0, screen, height=12)
    assert len(small) == 12 - 4 + 1
    assert small[-2] == "  … 23 more"
    assert len(board_at(5, 60.0, screen, height=12)) == 12 - 4 + 1, "heads come before details"


def creating(operations: Sequence[Operation]) -> Plan:
    created = (Change(address=item.address, action=Action.CREATE, cause="not in state") for item in operations)
    return replace(PLAN, changes=tuple(created), operations=tuple(operations))


def test_what_fails_in_the_same_way_many_times_is_told_once(screen: Screen) -> None:
    many = [op(number, Verb.CREATE, Address("sandbox", "w", str(number))) for number in range(4)]
    events: list[Event] = [PlanReady(plan=creating(many)), ApplyStarted(operations=4)]
    events += [OperationStarted(operation=item) for item in many]
    events += [replace(finished(item, Outcome.FAILED), diagnostic=PROBLEM) for item in many]
    events.append(ApplyFinished(seconds=1, changes=dict.fromkeys((item.address for item in many), Outcome.FAILED)))
    text = show(events, screen)
    assert text.count("No matching distribution") == 1
    assert text.count("failed: creating, as above") == 3
    assert "  ✗ sandbox.w[0…3]: pip failed with exit code 1\n" in text


@pytest.mark.parametrize(("kind", "is_shown"), [("step", True), ("sandbox", False)])
def test_of_many_alike_only_steps_are_heard(kind: str, is_shown: bool, screen: Screen) -> None:
    name = "p.s" if kind == "step" else "w"
    many = [op(number, Verb.RUN_STEP, Address(kind, name, str(number))) for number in range(4)]
    lines = [LogLine(operation=item, stream="stdout", text=f"said by {item.id}") for item in many]
    text = show([PlanReady(plan=creating(many)), ApplyStarted(operations=4), *lines], screen)
    assert [f"said by {number}" in text for number in range(4)] == [is_shown] * 4


def test_of_very_many_there_is_news_at_every_quarter(screen: Screen) -> None:
    many = [op(number, Verb.CREATE, Address("sandbox", "w", str(number))) for number in range(100)]
    events: list[Event] = [PlanReady(plan=creating(many)), ApplyStarted(operations=100)]
    for item in many:
        events += [OperationStarted(operation=item), finished(item)]
    told = [line for line in show(events, screen).partition("\n\n")[2].splitlines() if "sandbox.w[0…99]" in line]
    assert [line.split(": ")[1].partition("  ")[0] for line in told] == [
        "creating 100",
        "25 of 100 are through",
        "50 of 100 are through",
        "75 of 100 are through",
        "100 created",
    ]


@pytest.mark.parametrize(
    ("environment", "key", "told"),
    [
        ("default", None, "Next: nexus shell web, nexus logs web; nexus destroy when you are done"),
        ("prod", "eu", "Next: nexus shell 'web[eu]' -e prod, nexus logs 'web[eu]' -e prod; nexus destroy -e prod when"),
    ],
)
def test_a_sandbox_that_came_to_life_is_followed_by_what_one_does_with_it(
    environment: str, key: str | None, told: str, screen: Screen
) -> None:
    web = Address("sandbox", "web", key)
    change = Change(address=web, action=Action.CREATE, cause="not in state")
    plan = replace(PLAN, environment=environment, changes=(change,), operations=())
    text = show([PlanReady(plan=plan), ApplyFinished(seconds=1, changes={web: Outcome.SUCCEEDED})], screen)
    assert told in text
