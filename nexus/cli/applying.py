"""What apply and destroy share: asking, watching, and the exit code."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from nexus.cli.failures import print_events, report, show_diagnostics, source_reader
from nexus.cli.options import RunOptions
from nexus.cli.piped import discard
from nexus.cli.reports import write_junit
from nexus.cli.running import (
    load_planned,
    load_project,
    on_interrupt,
    seconds,
    typed,
    watched_at_target,
)
from nexus.cli.settings import Settings
from nexus.cli.waiting import Stop
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error

if TYPE_CHECKING:
    from nexus import Applied, AsyncProject, Event, Plan, PlanOptions, Run
    from nexus.model.events import Sink
    from nexus.render.summary import Typed

PARTLY_APPLIED = 3
INTERRUPTED = 130


def run_apply(
    settings: Settings,
    run: RunOptions,
    options: PlanOptions | Callable[[AsyncProject], PlanOptions],
    *,
    planfile: Path | None = None,
    revision: str | None = None,
    junit: Path | None = None,
    planned_by: str = "nexus plan",
) -> int:
    """Load, plan under the lock, ask, do, and say how it ended. Returns the exit code.

    ``options`` may depend on the project. With a ``revision``, its files are those of then. ``junit`` is where a report
    of the steps goes. ``planned_by`` is the command that saves such a plan, where nobody is there to be asked.
    """
    from nexus.api.errors import ApplyError

    patience = seconds(run.lock_timeout)
    plan, project = _plan_and_project(settings, run, planfile)
    if revision is not None:
        project = asyncio.run(project.at(revision))
    chosen = options(project) if callable(options) else options
    if plan is not None:
        _refuse_selection_beside(chosen)
    elif not run.auto_approve:
        require_a_person(as_json=run.as_json, instead=f"{planned_by} --out FILE, then nexus apply FILE")

    around = typed(settings, run.environment if planfile is None else "", run.var_texts, run.var_files, local=run.local)
    if revision is not None:
        around = replace(around, command=("rollback", revision, *around.in_environment()))

    async def work(project: AsyncProject, begin: Stop) -> Applied:
        with _listening(settings, around, project.folder, begin, as_json=run.as_json, verbose=run.verbose) as sink:
            try:
                return await project.apply(
                    plan,
                    options=chosen,
                    approve=_approved if run.auto_approve or plan is not None else _ask,
                    on_event=sink,
                    bind_interrupt=on_interrupt,
                    parallelism=run.parallelism,
                    lock_timeout=patience,
                )
            except ApplyError as failure:
                return failure.applied

    applied = watched_at_target(project, work, local=run.local, quiet=run.as_json)
    problems = () if junit is None or applied.run is None else _report_steps(applied.run, junit.absolute())
    applied = replace(applied, diagnostics=(*applied.diagnostics, *problems))
    code = _close(settings, applied, as_json=run.as_json)
    return 1 if problems and not code else code


def _plan_and_project(settings: Settings, run: RunOptions, planfile: Path | None) -> tuple[Plan | None, AsyncProject]:
    """The saved plan, if there is one, and the project with the values that belong to it."""
    from nexus.api.plans import read_plan

    if planfile is None:
        return None, load_project(settings, run.environment, run.var_texts, run.var_files, local=run.local)
    plan = read_plan(planfile)
    if run.var_texts or run.var_files:
        raise click.UsageError("A saved plan is applied as it is: no variables beside it.")
    return plan, load_planned(settings, plan, local=run.local)


def _report_steps(run: Run, path: Path) -> Sequence[Diagnostic]:
    """What is wrong when the report can't be written: by then the work is done, and that is said as well."""
    try:
        write_junit(run, path)
    except DiagnosticsError as problem:
        return problem.diagnostics
    return ()


def require_a_person(*, as_json: bool, instead: str = "") -> None:
    """Raises DiagnosticsError where nobody can be asked. ``instead`` is another way than --auto-approve."""
    if not as_json and sys.stdin.isatty():
        return
    raise DiagnosticsError(
        error(
            "not-approved",
            "Nobody is there to approve this",
            detail="Questions are only asked on a terminal, and never together with --json.",
            hint="add --auto-approve" + (f", or apply a saved plan: {instead}" if instead else ""),
        )
    )


def confirm(question: str) -> bool:
    """Ask on the terminal, with Ctrl-C as everywhere else."""
    # The event loop's own handler waits for the loop to go on, and that waits for the answer.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return click.confirm(question, default=False, err=True)
    finally:
        signal.signal(signal.SIGINT, before)


def _refuse_selection_beside(options: PlanOptions) -> None:
    if options != type(options)():
        raise click.UsageError("A saved plan is applied as it is: no selection beside it.")


def _approved(plan: Plan) -> bool:  # noqa: ARG001
    return True


def _ask(plan: Plan) -> bool:
    """It has been shown already."""
    if plan.options.refresh_only:
        return confirm("Take this into the state?")
    return confirm("Delete all of this?" if plan.options.destroy else "Do this?")


@contextmanager
def _listening(
    settings: Settings, around: Typed, folder: Path, begin: Stop, *, as_json: bool, verbose: bool
) -> Iterator[Sink]:
    """Who listens: events go to stdout as JSON, or to stderr for people, who get nothing but the outputs on stdout.

    ``begin`` is called before anything is shown.
    """
    if as_json:
        yield _while_read(_json_line, sys.stdout)
        return
    from nexus.render.progress import Progress
    from nexus.render.tail import Tail

    progress = Progress(
        settings.console(stderr=True),
        source_reader(folder),
        live=settings.is_live(),
        verbose=verbose,
        typed=around,
    )
    tail = Tail(progress)

    def show(event: Event) -> None:
        begin()
        tail(event)

    try:
        yield _while_read(show, sys.stderr)
    finally:
        tail.close()


def _while_read(sink: Sink, stream: TextIO) -> Sink:
    """The same until the reader goes away (``nexus apply --json | head``): the run goes on, and nobody listens."""

    def tell(event: Event) -> None:
        try:
            sink(event)
        except BrokenPipeError:
            discard(stream)

    return tell


def _json_line(event: Event) -> None:
    from nexus.render.documents import event_to_json

    click.echo(json.dumps(event_to_json(event, datetime.now(UTC)), ensure_ascii=False))


def _close(settings: Settings, applied: Applied, *, as_json: bool) -> int:
    """Outputs, what is still to be said, and the exit code."""
    if not applied.approved:
        click.echo("Not approved: nothing was done.", err=True)
        return 1
    result = applied.result
    for bug in () if result is None else result.bugs:
        report(bug)
    told: Sequence[Diagnostic] = () if result is None else result.diagnostics
    untold = [item for item in applied.diagnostics if item not in told]
    if as_json:
        print_events(untold)
    else:
        show_diagnostics(settings, untold)
        _show_outputs(settings, applied)
    if result is None or result.succeeded:
        return 0
    return INTERRUPTED if result.interrupted else PARTLY_APPLIED


def _show_outputs(settings: Settings, applied: Applied) -> None:
    from nexus.render.outputs import print_outputs

    if applied.outputs:
        print_outputs(settings.console(), applied.outputs)
