"""Tools on warm pools: take a sandbox that stands ready, see who has the others, end one that was taken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import Field

from nexus.mcp.projects import ProjectArguments
from nexus.mcp.results import Answer, drawn
from nexus.mcp.tools import Call, Effect, Tool
from nexus.render.pools import ended_to_json, handed_text, handed_to_json, pools_to_json, print_pools


class TakeArguments(ProjectArguments):
    pool: Annotated[str, Field(min_length=1, description="The name of its block, such as agent.")]
    timeout: Annotated[
        int | None, Field(ge=1, description="Seconds that it lives from now on; its block's timeout if not said.")
    ] = None
    purpose: Annotated[str, Field(description="What it is for, in a few words: others see it.")] = ""
    wait: Annotated[
        float, Field(ge=0, description="Seconds to wait where none stands ready and a controller fills the pool.")
    ] = 0.0


async def take(call: Call, arguments: TakeArguments) -> Answer:
    project = call.seat.load(arguments.environment, arguments.variables)
    found = await project.take(
        arguments.pool, lifetime=arguments.timeout, purpose=arguments.purpose, wait=arguments.wait
    )
    return Answer(
        document=handed_to_json(found.sandbox, found.record, urls=found.urls, ready=found.ready),
        text=handed_text(found.sandbox, datetime.now(UTC), urls=found.urls, ready=found.ready),
    )


class ListArguments(ProjectArguments):
    pass


async def list_(call: Call, arguments: ListArguments) -> Answer:
    found = await call.seat.load(arguments.environment, arguments.variables).pools()
    text = drawn(lambda console: print_pools(console, found, datetime.now(UTC)))
    return Answer(document=pools_to_json(found), text=text)


class ReleaseArguments(ProjectArguments):
    sandbox_id: Annotated[str, Field(min_length=1, description="The id of a sandbox that was taken, or its address.")]


async def release(call: Call, arguments: ReleaseArguments) -> Answer:
    project = call.seat.load(arguments.environment, arguments.variables)
    record = await project.end_taken(arguments.sandbox_id)
    return Answer(document=ended_to_json(record), text=f"{record.address} ({record.id}) is ended.")


TOOLS: Final = (
    Tool(
        name="pool_take",
        title="Take a sandbox that stands ready",
        description="Take a sandbox out of a pool of the project: it is set up already, and nobody else gets it. It "
        "lives until its time is up. Its sandbox_id is what the other tools take. Where none stands ready, an apply "
        "fills the pool.",
        arguments=TakeArguments,
        answers="pool-take",
        effect=Effect.ADDS,
        run=take,
    ),
    Tool(
        name="pool_list",
        title="Show what stands ready, and who has the rest",
        description="Show the project's pools: what stands ready in each, and who took what, until when.",
        arguments=ListArguments,
        answers="pool-list",
        effect=Effect.READS,
        run=list_,
    ),
    Tool(
        name="pool_release",
        title="End a sandbox that was taken",
        description="End a sandbox that was taken from a pool, with all that is in it, before its time is up. No pool "
        "takes a used one back.",
        arguments=ReleaseArguments,
        answers="pool-release",
        effect=Effect.RUNS,
        run=release,
    ),
)
