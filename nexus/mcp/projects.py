"""Tools that look at the project and change nothing: validate, plan, drift, output."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from nexus.mcp.results import Answer, diagnostics_as_text, drawn
from nexus.mcp.tools import Arguments, Call, Effect, Texts, Tool, Values
from nexus.model.addresses import Address, AddressError
from nexus.model.diagnostics import DiagnosticsError
from nexus.render.documents import outputs_to_json, plan_to_json, validation_to_json
from nexus.render.drift import drift_to_json, print_drift
from nexus.render.outputs import print_outputs
from nexus.render.plan import print_plan
from nexus.render.values import plural


def _each_an_address(texts: list[str]) -> list[str]:
    for text in texts:
        try:
            Address.parse(text)
        except AddressError as problem:
            raise ValueError(str(problem)) from None
    return texts


Addresses = Annotated[Texts, AfterValidator(_each_an_address)]
"""Texts such as ``sandbox.web``."""


class ProjectArguments(Arguments):
    environment: Annotated[
        str | None, Field(description="Environment of the project; the server's own if not said.")
    ] = None
    variables: Annotated[Values, Field(description="Values of the project's variables; they win over all others.")] = (
        Field(default_factory=dict)
    )


class ValidateArguments(ProjectArguments):
    pass


async def validate(call: Call, arguments: ValidateArguments) -> Answer:
    try:
        project = call.seat.load(arguments.environment, arguments.variables)
    except DiagnosticsError as problem:
        document = validation_to_json(problem.diagnostics, valid=False)
        return Answer(document=document, text=diagnostics_as_text(problem.diagnostics, call.seat.read_source))
    notes = diagnostics_as_text(project.warnings, call.seat.read_source)
    verdict = f"The manifest is valid: {plural(project.object_count, 'resource')}."
    return Answer(
        document=validation_to_json(project.warnings, valid=True), text=f"{notes}\n{verdict}" if notes else verdict
    )


class PlanArguments(ProjectArguments):
    targets: Annotated[Addresses, Field(description="Only these, such as sandbox.web, and what they need.")] = Field(
        default_factory=list
    )
    excludes: Annotated[Addresses, Field(description="Not these, nor what needs them.")] = Field(default_factory=list)
    replace: Annotated[Addresses, Field(description="Replace these, changed or not.")] = Field(default_factory=list)
    destroy: Annotated[bool, Field(description="Plan to delete everything.")] = False
    deep: Annotated[bool, Field(description="Look into sandboxes, too: files, packages, variables, processes.")] = False


async def plan(call: Call, arguments: PlanArguments) -> Answer:
    project = call.seat.load(arguments.environment, arguments.variables)
    made = await project.plan(
        targets=arguments.targets,
        excludes=arguments.excludes,
        replace=arguments.replace,
        destroy=arguments.destroy,
        deep=arguments.deep,
    )
    notes = diagnostics_as_text(made.diagnostics, call.seat.read_source)
    text = drawn(lambda console: print_plan(console, made))
    return Answer(document=plan_to_json(made), text=f"{notes}\n{text}" if notes else text)


class DriftArguments(ProjectArguments):
    shallow: Annotated[bool, Field(description="Do not look into sandboxes.")] = False


async def drift(call: Call, arguments: DriftArguments) -> Answer:
    project = call.seat.load(arguments.environment, arguments.variables)
    report = await project.drift(deep=not arguments.shallow)
    notes = diagnostics_as_text(report.diagnostics, call.seat.read_source)
    text = drawn(lambda console: print_drift(console, report))
    return Answer(document=drift_to_json(report), text=f"{notes}\n{text}" if notes else text)


class OutputArguments(Arguments):
    name: Annotated[str | None, Field(description="Only this one.")] = None
    environment: Annotated[
        str | None, Field(description="Environment of the project; the server's own if not said.")
    ] = None


async def output(call: Call, arguments: OutputArguments) -> Answer:
    folder, name = call.seat.live(arguments.environment), arguments.name
    found = (await folder.state()).outputs if name is None else {name: await folder.output_record(name)}
    text = drawn(lambda console: print_outputs(console, found)) if found else "There are no outputs."
    return Answer(document=outputs_to_json(found), text=text)


TOOLS: Final = (
    Tool(
        name="validate",
        title="Check the manifest",
        description="Check the project's nexus.yaml: its text, its fields, its references. Touches no network.",
        arguments=ValidateArguments,
        answers="validate",
        effect=Effect.READS,
        run=validate,
        is_open=False,
    ),
    Tool(
        name="plan",
        title="Show what apply would do",
        description="Show each change that apply would make, with its cause and its fields, what it opens, what it "
        "costs, and whether policies deny it. Changes nothing.",
        arguments=PlanArguments,
        answers="plan",
        effect=Effect.READS,
        run=plan,
    ),
    Tool(
        name="drift",
        title="Show what is not as it was applied",
        description="Show what expired, is gone, was paused, was changed from outside or edited inside. Changes "
        "nothing.",
        arguments=DriftArguments,
        answers="drift",
        effect=Effect.READS,
        run=drift,
    ),
    Tool(
        name="output",
        title="Show the project's outputs",
        description="Show the outputs as of the last apply. Sensitive ones have no value here.",
        arguments=OutputArguments,
        answers="output",
        effect=Effect.READS,
        run=output,
        is_open=False,
    ),
)
