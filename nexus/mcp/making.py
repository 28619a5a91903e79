"""Tools that make, change, and end live sandboxes: create, configure, stop, delete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from nexus.kinds.durations import parse_duration
from nexus.kinds.reading import InvalidValue
from nexus.mcp.progress import Narrator, Progress
from nexus.mcp.results import Answer, failure
from nexus.mcp.tools import Arguments, Call, Effect, NamedTexts, SandboxId, Texts, Tool
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.values import Sensitive
from nexus.render.configuring import configured_text, configured_to_json
from nexus.render.creating import created_text, created_to_json
from nexus.render.documents import FORMAT_VERSION, Json
from nexus.render.lifetimes import deleted_text, deleted_to_json, stop_text, stop_to_json
from nexus.workflows.configuring import Changes, configure
from nexus.workflows.creating import Wish, create_sandbox, project_of
from nexus.workflows.lifetimes import delete, find_each, stop
from nexus.workflows.operating import DEFAULT_TIMEOUT, find_sandbox


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
    timeout: Annotated[Seconds, Field(description="Seconds that it lives.")] = DEFAULT_TIMEOUT
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
    wish = Wish(
        template=arguments.template,
        name=arguments.name,
        timeout=arguments.timeout,
        env_vars=arguments.env_vars,
        install_packages=arguments.install_packages,
        startup_script=arguments.startup_script,
        metadata=arguments.metadata,
    )
    project = project_of(wish, call.seat.folder, call.seat.process)
    narrator = Narrator(call.progress, call.seat.read_source)
    async with call.seat.live() as (_, operator), call.seat.passing_session(project) as session:
        created = await create_sandbox(project, session, operator, narrator)
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
    changes = Changes(
        env_vars={name: Sensitive(value) for name, value in arguments.env_vars.items()},
        install=arguments.install_packages,
        run_commands=arguments.run_commands,
        restart=arguments.restart,
    )
    if changes.is_empty:
        hint = "give env_vars, install_packages, run_commands or restart"
        raise DiagnosticsError(error("invalid-arguments", "There is nothing to configure", hint=hint))
    async with call.seat.live() as (place, operator):
        found = await find_sandbox(place, operator, arguments.sandbox_id)
        done = await configure(place, operator, found, changes, _Telling(call.progress))
    return Answer(document=configured_to_json(done), text=configured_text(done))


@dataclass(frozen=True, slots=True)
class _Telling:
    """A report that is told as progress."""

    to: Progress

    def progress(self, message: str) -> None:
        self.to.say(message)

    def log(self, stream: str, text: str) -> None:  # noqa: ARG002 - both are told alike
        self.to.say(f"  │ {text.rstrip()}")


class StopArguments(Arguments):
    sandbox_id: SandboxId


async def sandbox_stop(call: Call, arguments: StopArguments) -> Answer:
    async with call.seat.live() as (place, operator):
        stopped = await stop(operator, await find_sandbox(place, operator, arguments.sandbox_id))
    facts = (stopped.before, stopped.executions, datetime.now(UTC))
    billed = place.is_billed
    return Answer(document=stop_to_json(*facts, billed=billed), text=stop_text(*facts, billed=billed))


class DeleteArguments(Arguments):
    sandbox_id: SandboxId


async def sandbox_delete(call: Call, arguments: DeleteArguments) -> Answer:
    async with call.seat.live() as (place, operator):
        meant = await find_sandbox(place, operator, arguments.sandbox_id)
        deletion = await delete(operator, await find_each(operator, [meant]))
    if deletion.problems:
        return failure(deletion.problems, call.seat.read_source)
    (deleted,) = deletion.deleted
    facts = (deleted.sandbox, deleted.contents, deleted.at)
    document: Json = {"format_version": FORMAT_VERSION, "success": True}
    document |= deleted_to_json(*facts, billed=place.is_billed)
    return Answer(document=document, text=deleted_text(*facts, billed=place.is_billed))


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
