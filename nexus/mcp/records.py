"""Tools that tell what was done: the runs that are on record, and one of them in detail."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from nexus.mcp.results import Answer, clipped, drawn
from nexus.mcp.tools import Arguments, Call, Effect, Tool
from nexus.render.runs import print_run, print_runs, run_to_json, runs_to_json

Environment = Annotated[str | None, Field(description="Environment of the project; the server's own if not said.")]


class RunsArguments(Arguments):
    environment: Environment = None
    limit: Annotated[int, Field(ge=1, description="At most so many, the newest.")] = 20


async def runs(call: Call, arguments: RunsArguments) -> Answer:
    found = await call.seat.live(arguments.environment).runs(limit=arguments.limit)
    listed = [(item.summary, item.status) for item in found]
    text = drawn(lambda console: print_runs(console, listed)) if listed else "No run was recorded yet."
    return Answer(document=runs_to_json(listed), text=text)


class RunsShowArguments(Arguments):
    environment: Environment = None
    run_id: Annotated[str | None, Field(description="Its id, or the beginning of it; the newest if not said.")] = None
    step: Annotated[
        str | None, Field(min_length=1, description="With all that this step, or operation, of the run wrote.")
    ] = None


async def runs_show(call: Call, arguments: RunsShowArguments) -> Answer:
    folder = call.seat.live(arguments.environment)
    run = await folder.run_record(arguments.run_id)
    status = await folder.run_status(run)
    document, text = run_to_json(run, status), drawn(lambda console: print_run(console, run, status))
    if arguments.step is not None:
        log = clipped(await folder.run_log(arguments.step, run.head.id))
        document, text = {**document, "log": log}, f"{text}\n\nWhat {arguments.step} wrote:\n{log}"
    return Answer(document=document, text=text)


TOOLS: Final = (
    Tool(
        name="runs",
        title="List what was done when",
        description="List the runs of the project that did something: applies, destroys, and runs of pipelines, the "
        "newest first.",
        arguments=RunsArguments,
        answers="runs",
        effect=Effect.READS,
        run=runs,
        is_open=False,
    ),
    Tool(
        name="runs_show",
        title="Show one run",
        description="Show a run step by step: how each ended, its attempts, exit code, time, memory, files, and the "
        "end of what it wrote. With step, all of what that one wrote.",
        arguments=RunsShowArguments,
        answers="run",
        effect=Effect.READS,
        run=runs_show,
        is_open=False,
    ),
)
