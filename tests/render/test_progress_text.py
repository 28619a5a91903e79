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
    replace(finished(RUN, Outcome.SKIPPED), reason="install sandbox.bad failed"),
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
    now = 0.0
    tail = Tail(console, lambda: now)
    for event in FAILING[:7]:
        tail.observe(event)
    now = 3.0
    with console.capture() as capture:
        console.print(tail.render())
    text = capture.get()
    assert "sandbox.web: creating  creating from nexus-base" in text
    assert "3.0s" in text
    assert "1 of 7 operations done" in text
    assert max(map(len, text.splitlines())) <= 80
    tail.observe(FAILING[-1])
    tail.close()
    assert stream.getvalue().endswith(("\x1b[?25h", "\x1b[2K"))
