"""Tools that change what the project made: apply, destroy, run. Nothing is done that was not approved.

Approval is ``auto_approve``, or the answer of the person at the client, who is asked with the plan. Where neither can
be had, the answer is the plan, and how to approve it. What a person approved is done exactly, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from nexus.api.errors import ApplyError
from nexus.api.plans import plan_options
from nexus.api.project import AsyncProject
from nexus.mcp.progress import Narrator
from nexus.mcp.projects import Addresses, ProjectArguments
from nexus.mcp.results import Answer, diagnostics_as_text, drawn
from nexus.mcp.tools import Call, Effect, Tool
from nexus.model.addresses import Address
from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.events import ApplyFinished, Event, Outcome
from nexus.render.applied import applied_to_json
from nexus.render.outputs import print_outputs
from nexus.render.plan import print_plan

if TYPE_CHECKING:
    from nexus import Applied

AutoApprove = Annotated[
    bool,
    Field(
        description="Do it without asking. Look at the plan first, and only say so if the person whose sandboxes these "
        "are wants it."
    ),
]


class ApplyArguments(ProjectArguments):
    auto_approve: AutoApprove = False
    targets: Annotated[Addresses, Field(description="Only these, such as sandbox.web, and what they need.")] = Field(
        default_factory=list
    )
    excludes: Annotated[Addresses, Field(description="Not these, nor what needs them.")] = Field(default_factory=list)
    replace: Annotated[Addresses, Field(description="Replace these, changed or not.")] = Field(default_factory=list)
    deep: Annotated[bool, Field(description="Look into sandboxes, too: files, packages, variables, processes.")] = False


async def apply(call: Call, arguments: ApplyArguments) -> Answer:
    project = call.seat.load(arguments.environment, arguments.variables)
    options = plan_options(arguments.targets, arguments.excludes, arguments.replace, deep=arguments.deep)
    return await _change(call, project, options, auto_approve=arguments.auto_approve)


class DestroyArguments(ProjectArguments):
    auto_approve: AutoApprove = False
    targets: Annotated[Addresses, Field(description="Only these, and what needs them.")] = Field(default_factory=list)
    excludes: Annotated[Addresses, Field(description="Not these, nor what they need.")] = Field(default_factory=list)


async def destroy(call: Call, arguments: DestroyArguments) -> Answer:
    project = call.seat.load(arguments.environment, arguments.variables)
    options = plan_options(arguments.targets, arguments.excludes, destroy=True)
    return await _change(call, project, options, auto_approve=arguments.auto_approve)


class RunArguments(ProjectArguments):
    pipeline: Annotated[str, Field(min_length=1, description="Name of the pipeline.")]
    step: Annotated[str | None, Field(description="Only this step of it, and what it needs.")] = None
    force: Annotated[bool, Field(description="Run the steps even if nothing that they are made of has changed.")] = (
        False
    )
    auto_approve: AutoApprove = False


async def run(call: Call, arguments: RunArguments) -> Answer:
    project = call.seat.load(arguments.environment, arguments.variables)
    options = project.run_options(arguments.pipeline, arguments.step, force=arguments.force)
    return await _change(call, project, options, auto_approve=arguments.auto_approve)


class PromoteArguments(ProjectArguments):
    source: Annotated[str, Field(min_length=1, description="The environment whose builds are to be taken.")]
    templates: Annotated[Addresses, Field(description="Only these, such as template.x, and what they build on.")] = (
        Field(default_factory=list)
    )
    auto_approve: AutoApprove = False


async def promote(call: Call, arguments: PromoteArguments) -> Answer:
    project = call.seat.load(arguments.environment, arguments.variables)
    options = plan_options(arguments.templates, promote_from=arguments.source)
    return await _change(call, project, options, auto_approve=arguments.auto_approve)


# ---- approval


async def _change(call: Call, project: AsyncProject, options: PlanOptions, *, auto_approve: bool) -> Answer:
    if auto_approve:
        return await _do(call, project, None, options)
    plan = await project.plan(options=options)
    if plan.is_denied:  # nobody is asked about what can't be done
        raise DiagnosticsError(plan.diagnostics)
    refusal = None if plan.is_empty else await _refusal(call, plan)
    if refusal is not None:
        return _unapproved(call, plan, refusal)
    return await _do(call, project, plan, PlanOptions())


async def _refusal(call: Call, plan: Plan) -> Diagnostic | None:
    """Why this is not to be done; None once the person at the client has approved it."""
    question = "Delete all of this?" if plan.options.destroy else "Do this?"
    answer = await call.ask(f"{drawn(lambda console: print_plan(console, plan))}\n\n{question}")
    if answer is None:
        return error(
            "not-approved",
            "Nothing was done: this has to be approved first",
            hint="show the plan to the person whose sandboxes these are, and call again with auto_approve: true",
        )
    if not answer:
        return error("not-approved", "Nothing was done: it was not approved", hint="ask what should be different")
    return None


def _unapproved(call: Call, plan: Plan, refusal: Diagnostic) -> Answer:
    text = drawn(lambda console: print_plan(console, plan))
    return Answer(
        document=applied_to_json(
            plan,
            approved=False,
            result=None,
            changes={},
            outputs={},
            diagnostics=(*plan.diagnostics, refusal),
            run_id=None,
            hint=refusal.hint,
        ),
        text=f"{text}\n{diagnostics_as_text((*plan.diagnostics, refusal), call.seat.read_source)}",
    )


# ---- doing it


class _Ending:
    """A sink that keeps how each change ended."""

    def __init__(self, inner: Narrator) -> None:
        self._inner = inner
        self.changes: dict[Address, Outcome] = {}

    def __call__(self, event: Event) -> None:
        self._inner(event)
        if isinstance(event, ApplyFinished):
            self.changes = dict(event.changes)


async def _do(call: Call, project: AsyncProject, plan: Plan | None, options: PlanOptions) -> Answer:
    narrator = Narrator(call.progress, call.seat.read_source)
    ending = _Ending(narrator)
    applied = await _uncancelled(project, plan, options, ending)
    result = applied.result
    told = () if result is None else result.diagnostics
    untold = [item for item in applied.diagnostics if item not in told]
    parts = [narrator.text, diagnostics_as_text(untold, call.seat.read_source)]
    parts += [drawn(lambda console: print_outputs(console, applied.outputs))] if applied.outputs else []
    return Answer(
        document=applied_to_json(
            applied.plan,
            approved=True,
            result=result,
            changes=ending.changes,
            outputs=applied.outputs,
            diagnostics=(*applied.plan.diagnostics, *applied.diagnostics),
            run_id=None if applied.run is None else applied.run.head.id,
        ),
        text="\n".join(part for part in parts if part),
        failed=result is not None and not result.succeeded,
    )


async def _uncancelled(project: AsyncProject, plan: Plan | None, options: PlanOptions, sink: _Ending) -> Applied:
    """Apply. A call that is cancelled lets what is in flight come to its end, begins nothing new, and is on record."""
    interrupts: list[Callable[[], None]] = []
    work = asyncio.create_task(_apply(project, plan, options, sink, interrupts.append))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if interrupts:
            interrupts[-1]()
        else:
            work.cancel()
        await asyncio.wait([work])
        raise


async def _apply(
    project: AsyncProject,
    plan: Plan | None,
    options: PlanOptions,
    sink: _Ending,
    bind_interrupt: Callable[[Callable[[], None]], None],
) -> Applied:
    try:
        return await project.apply(plan, options=options, on_event=sink, bind_interrupt=bind_interrupt)
    except ApplyError as failure:
        return failure.applied


TOOLS: Final = (
    Tool(
        name="apply",
        title="Make what is out there match the manifest",
        description="Plan, have it approved, and do it: create, change, replace and delete sandboxes, templates and "
        "volumes until they match nexus.yaml. Without auto_approve the person at the client is asked; where that is "
        "not possible, the answer is the plan and nothing is done.",
        arguments=ApplyArguments,
        answers="applied",
        effect=Effect.REPLACES,
        run=apply,
    ),
    Tool(
        name="promote",
        title="Give an environment the builds of another one",
        description="Give the environment the builds that its templates have in the environment source, such as dev: "
        "nothing is built again, and what was tried is what runs. Where nexus.yaml asks for other builds than source "
        "has, it says what differs, and nothing is done. What is made from the templates follows with the next apply. "
        "Approved like apply.",
        arguments=PromoteArguments,
        answers="applied",
        effect=Effect.REPLACES,
        run=promote,
    ),
    Tool(
        name="destroy",
        title="Delete everything the project made",
        description="Delete the project's sandboxes, templates and volumes, with all that is in them. Approved like "
        "apply.",
        arguments=DestroyArguments,
        answers="applied",
        effect=Effect.REPLACES,
        run=destroy,
    ),
    Tool(
        name="run",
        title="Run the steps of a pipeline",
        description="Run the steps of a pipeline that are due, or one of them, and first what they need. Approved like "
        "apply.",
        arguments=RunArguments,
        answers="applied",
        effect=Effect.RUNS,
        run=run,
    ),
)
