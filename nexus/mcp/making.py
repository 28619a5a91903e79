"""Tools that make, change, and end live sandboxes: create, configure, stop, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from nexus.api.account import DEFAULT_LIFETIME
from nexus.kinds.durations import parse_duration
from nexus.kinds.reading import InvalidValue
from nexus.mcp.progress import Narrator
from nexus.mcp.results import Answer
from nexus.mcp.tools import Arguments, Call, Effect, NamedTexts, SandboxId, Texts, Tool
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.render.configuring import configured_text, configured_to_json
from nexus.render.creating import created_text, created_to_json
from nexus.render.documents import FORMAT_VERSION, Json
from nexus.render.lifetimes import deleted_text, deleted_to_json, stop_text, stop_to_json


def _seconds(value: object) -> object:
    """Seconds, or a text such as 30m."""
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except InvalidValue as problem:
        raise ValueError(f"it must be {problem}") from None


Seconds = Annotated[int, Field(ge=1), BeforeValidator(_seconds)]


class CreateArguments(Arguments):
    template: Annotated[
        str,
        Field(
            min_length=1,
            description="base, python, node, react, nextjs, vanilla or claude-code (built on first use), or a template "
            "of the account.",
        ),
    ] = "base"
    name: Annotated[str, Field(description="What it is called; it has an id besides.")] = ""
    timeout: Annotated[Seconds, Field(description="Seconds that it lives.")] = DEFAULT_LIFETIME
    env_vars: Annotated[
        NamedTexts, Field(description="Its environment variables. Their values are never shown again.")
    ] = Field(default_factory=dict)
    install_packages: Annotated[
        Texts,
        Field(
            description="Packages to install: bare names belong to the template's language, «apt:jq», «pip:httpx» and "
            "«npm:express» to that manager."
        ),
    ] = Field(default_factory=list)
    startup_script: Annotated[str, Field(description="A bash script to run once, as root, when all else is done.")] = ""
    metadata: Annotated[NamedTexts, Field(description="Texts that stay with it, for all who use the account.")] = Field(
        default_factory=dict
    )


async def sandbox_create(call: Call, arguments: CreateArguments) -> Answer:
    created = await call.seat.live().create(
        arguments.template,
        name=arguments.name,
        lifetime=arguments.timeout,
        env_vars=arguments.env_vars,
        install=arguments.install_packages,
        startup_script=arguments.startup_script,
        metadata=arguments.metadata,
        on_event=Narrator(call.progress, call.seat.read_source),
    )
    document = created_to_json(
        created.sandbox,
        template=arguments.template,
        timeout=arguments.timeout,
        env_vars=arguments.env_vars,
        packages=arguments.install_packages,
        has_startup_script=bool(arguments.startup_script.strip()),
        port=created.port,
        url=created.url,
        adoption=created.adoption,
        block=created.block,
    )
    text = created_text(
        created.sandbox,
        datetime.now(UTC),
        port=created.port,
        url=created.url,
        adoption=created.adoption,
        block=created.block,
    )
    return Answer(document=document, text=text)


class ConfigureArguments(Arguments):
    sandbox_id: SandboxId
    env_vars: Annotated[
        NamedTexts, Field(description="Variables to set, beside those that there are. Their values are never shown.")
    ] = Field(default_factory=dict)
    install_packages: Annotated[Texts, Field(description="Packages to install, written as for sandbox_create.")] = (
        Field(default_factory=list)
    )
    run_commands: Annotated[Texts, Field(description="Commands to run one after the other, as root.")] = Field(
        default_factory=list
    )
    restart: Annotated[
        bool, Field(description="Start its start_command again, at last; a paused sandbox runs again.")
    ] = False


async def sandbox_configure(call: Call, arguments: ConfigureArguments) -> Answer:
    if not (arguments.env_vars or arguments.install_packages or arguments.run_commands or arguments.restart):
        hint = "give env_vars, install_packages, run_commands or restart"
        raise DiagnosticsError(error("invalid-arguments", "There is nothing to configure", hint=hint))
    done = (
        await call.seat.live()
        .sandbox(arguments.sandbox_id)
        .configure(
            env_vars=arguments.env_vars,
            install=arguments.install_packages,
            run_commands=arguments.run_commands,
            restart=arguments.restart,
            on_progress=call.progress.say,
            on_output=lambda _, text: call.progress.say(f"  │ {text.rstrip()}"),
        )
    )
    return Answer(document=configured_to_json(done), text=configured_text(done))


class StopArguments(Arguments):
    sandbox_id: SandboxId


async def sandbox_stop(call: Call, arguments: StopArguments) -> Answer:
    async with call.seat.live() as live:
        stopped, where = await live.sandbox(arguments.sandbox_id).stop(), await live.where()
    facts = (stopped.before, stopped.executions, datetime.now(UTC))
    billed = where.is_billed
    return Answer(document=stop_to_json(*facts, billed=billed), text=stop_text(*facts, billed=billed))


class DeleteArguments(Arguments):
    sandbox_id: SandboxId


async def sandbox_delete(call: Call, arguments: DeleteArguments) -> Answer:
    async with call.seat.live() as live:
        deleted, where = await live.sandbox(arguments.sandbox_id).delete(), await live.where()
    facts = (deleted.sandbox, deleted.contents, deleted.at)
    document: Json = {"format_version": FORMAT_VERSION, "success": True}
    document |= deleted_to_json(*facts, billed=where.is_billed)
    return Answer(document=document, text=deleted_text(*facts, billed=where.is_billed))


TOOLS: Final = (
    Tool(
        name="sandbox_create",
        title="Create a sandbox",
        description="Make a sandbox at once, outside of any project: from a template, with variables, packages and a "
        "startup script. It ends when its time is up. The answer says how a project takes it over.",
        arguments=CreateArguments,
        answers="create",
        effect=Effect.ADDS,
        run=sandbox_create,
    ),
    Tool(
        name="sandbox_configure",
        title="Change a sandbox while it runs",
        description="Set variables, install packages, run commands in a running sandbox, in this order. With restart, "
        "its start_command is started anew, and a paused sandbox runs again. What fails leaves what was done before.",
        arguments=ConfigureArguments,
        answers="configure",
        effect=Effect.RUNS,
        run=sandbox_configure,
    ),
    Tool(
        name="sandbox_stop",
        title="Pause a sandbox",
        description="Pause a sandbox: its memory and files are kept, and it costs nothing until it runs again.",
        arguments=StopArguments,
        answers="stop",
        effect=Effect.SETTLES,
        run=sandbox_stop,
    ),
    Tool(
        name="sandbox_delete",
        title="Delete a sandbox",
        description="Remove a sandbox for good, with all that is in it. One of the project is made again by apply.",
        arguments=DeleteArguments,
        answers="deleted",
        effect=Effect.REPLACES,
        run=sandbox_delete,
    ),
)
