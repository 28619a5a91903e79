"""Tools on live sandboxes that are there: list, status, execute, logs, upload."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from nexus.api.account import SandboxStatus
from nexus.api.sandboxes import problem_of
from nexus.mcp.results import Answer, clipped, diagnostics_as_text, drawn
from nexus.mcp.tools import Arguments, Call, Effect, NamedTexts, SandboxId, Text, Tool
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.render.carrying import copied_text, copied_to_json
from nexus.render.operating import execution_to_json, list_to_json, log_text, logs_to_json, print_list
from nexus.render.status import print_status, status_to_json

if TYPE_CHECKING:
    from nexus import Executed

_STATUSES: Final[Mapping[str, SandboxStatus | None]] = {
    "running": "running",
    "paused": "paused",
    "stopped": "paused",
    "all": None,
}


class ListArguments(Arguments):
    status: Annotated[
        Literal["running", "paused", "stopped", "all"], Field(description="Only these; stopped means paused.")
    ] = "all"
    template: Annotated[str | None, Field(description="Only those made from this template.")] = None
    limit: Annotated[int | None, Field(ge=1, description="At most so many.")] = None
    sort_by: Literal["created_at", "expires_at", "name", "template", "status"] = "created_at"
    order: Literal["asc", "desc"] = "desc"


async def sandbox_list(call: Call, arguments: ListArguments) -> Answer:
    listed = await call.seat.live().list(
        status=_STATUSES[arguments.status],
        template=arguments.template,
        limit=arguments.limit,
        sort_by=arguments.sort_by,
        descending=arguments.order == "desc",
        everything=True,
        with_usage=True,
    )
    now = datetime.now(UTC)
    document = list_to_json(
        listed.sandboxes,
        listed.usage,
        listed.last_executions,
        total=listed.total,
        running=listed.running,
        stopped=listed.stopped,
        now=now,
    )
    table = drawn(lambda console: print_list(console, listed.sandboxes, now, with_project=True))
    counts = f"{listed.running} running, {listed.stopped} paused"
    return Answer(document=document, text=f"{table}\n{counts}" if listed.sandboxes else counts)


class StatusArguments(Arguments):
    sandbox_id: SandboxId


async def sandbox_status(call: Call, arguments: StatusArguments) -> Answer:
    status = await call.seat.live().sandbox(arguments.sandbox_id).status()
    facts = (status.sandbox, status.network, status.usage, status.surroundings)
    now = datetime.now(UTC)
    return Answer(
        document=status_to_json(*facts, start_command=status.start_command, alerts=status.alerts, now=now),
        text=drawn(
            lambda console: print_status(
                console, *facts, start_command=status.start_command, alerts=status.alerts, now=now
            )
        ),
    )


class ExecuteArguments(Arguments):
    sandbox_id: SandboxId
    code: Annotated[Text, Field(description="The code to run.")]
    language: Annotated[Literal["python", "javascript", "bash"], Field(description="What runs it.")] = "python"
    timeout: Annotated[
        float | None, Field(gt=0, description="Seconds; then it is ended, with every process that it started.")
    ] = 60
    working_dir: Annotated[str | None, Field(description="Folder to run in; the user's home if not said.")] = None
    env_vars: Annotated[NamedTexts, Field(description="Variables for this code alone.")] = Field(default_factory=dict)
    capture_output: Annotated[
        bool, Field(description="Whether the output is in the answer; it is told as progress either way.")
    ] = True


async def sandbox_execute(call: Call, arguments: ExecuteArguments) -> Answer:
    async with call.seat.live() as live:
        handle = live.sandbox(arguments.sandbox_id)
        found = await handle.found()
        executed = await handle.exec(
            arguments.code,
            language=arguments.language,
            working_dir=arguments.working_dir,
            env_vars=arguments.env_vars,
            timeout=arguments.timeout,
            on_output=lambda _, text: call.progress.write(text),
        )
    kept = _kept(executed, captured=arguments.capture_output)
    problem = problem_of(executed, found)
    document = execution_to_json(
        kept,
        problem,
        execution_id=f"exec_{secrets.token_hex(6)}",
        sandbox_id=found.id,
        address=found.address,
        language=arguments.language,
        env_vars_used=len(arguments.env_vars),
        timeout=arguments.timeout,
    )
    parts = [kept.stdout.rstrip(), *([f"stderr:\n{kept.stderr.rstrip()}"] if kept.stderr.strip() else [])]
    parts += [diagnostics_as_text([problem], call.seat.read_source)] if problem else []
    parts.append(f"exit code {executed.exit_code}, {executed.seconds:.2f}s")
    return Answer(document=document, text="\n".join(part for part in parts if part), failed=problem is not None)


def _kept(executed: Executed, *, captured: bool) -> Executed:
    """What of the output is answered."""
    return replace(
        executed,
        stdout=clipped(executed.stdout) if captured else "",
        stderr=clipped(executed.stderr) if captured else "",
    )


class LogsArguments(Arguments):
    sandbox_id: SandboxId
    lines: Annotated[int, Field(ge=1, le=10_000, description="How many, the last.")] = 100
    include_timestamps: Annotated[bool, Field(description="Begin each line of the text with its time.")] = True
    log_level: Annotated[
        Literal["all", "debug", "info", "warn", "error"], Field(description="This level and above.")
    ] = "all"


async def sandbox_logs(call: Call, arguments: LogsArguments) -> Answer:
    level = None if arguments.log_level == "all" else arguments.log_level
    async with call.seat.live() as live:
        handle = live.sandbox(arguments.sandbox_id)
        found, logs = await handle.found(), await handle.logs(lines=arguments.lines, level=level)
    lines = [log_text(entry, timestamps=arguments.include_timestamps).plain for entry in logs.entries]
    return Answer(
        document=logs_to_json(
            found.id,
            logs.entries,
            address=found.address,
            total=logs.total,
            byte_count=logs.size,
            oldest=logs.oldest,
        ),
        text="\n".join(lines) or "There are no logs.",
    )


class UploadArguments(Arguments):
    sandbox_id: SandboxId
    file_path: Annotated[
        str, Field(min_length=1, description="Where the file goes: absolute, or relative to the user's home.")
    ]
    content: Annotated[Text, Field(description="What is to be in it.")]
    encoding: Annotated[
        Literal["utf-8", "base64"], Field(description="How the content is written here; base64 for what is no text.")
    ] = "utf-8"


async def sandbox_upload(call: Call, arguments: UploadArguments) -> Answer:
    content = _content(arguments)
    async with call.seat.live() as live:
        handle = live.sandbox(arguments.sandbox_id)
        found, started = await handle.found(), time.monotonic()
        written = await handle.write(arguments.file_path, content)
        seconds = time.monotonic() - started
    document = copied_to_json(
        written.files,
        sandbox_id=found.id,
        address=found.address,
        source="content",
        target=written.target,
        is_folder=False,
        seconds=seconds,
        at=datetime.now(UTC),
        took_name="upload_time",
    )
    text = copied_text(written.files, target=written.target, is_folder=False, seconds=seconds)
    return Answer(document=document, text=text)


def _content(arguments: UploadArguments) -> bytes:
    if arguments.encoding == "utf-8":
        return arguments.content.encode("utf-8")
    try:
        return base64.b64decode(arguments.content, validate=True)
    except binascii.Error:
        hint = "encode it anew, or leave encoding out for a text"
        raise DiagnosticsError(error("invalid-arguments", "content is not base64", hint=hint)) from None


TOOLS: Final = (
    Tool(
        name="sandbox_list",
        title="List sandboxes",
        description="List the live sandboxes of the account, with what they use.",
        arguments=ListArguments,
        answers="list",
        effect=Effect.READS,
        run=sandbox_list,
    ),
    Tool(
        name="sandbox_status",
        title="Show one sandbox",
        description="Show all there is to know of a sandbox: uptime, expiry, usage, network, languages, executions. "
        "A paused one is not woken.",
        arguments=StatusArguments,
        answers="status",
        effect=Effect.READS,
        run=sandbox_status,
    ),
    Tool(
        name="sandbox_execute",
        title="Run code in a sandbox",
        description="Run Python, JavaScript or bash in a running sandbox and wait for its end. Output is told as "
        "progress while it runs. Nothing is kept between calls but files.",
        arguments=ExecuteArguments,
        answers="exec",
        effect=Effect.RUNS,
        run=sandbox_execute,
    ),
    Tool(
        name="sandbox_logs",
        title="Read a sandbox's logs",
        description="Read the last lines of what is kept of what a sandbox said.",
        arguments=LogsArguments,
        answers="logs",
        effect=Effect.READS,
        run=sandbox_logs,
    ),
    Tool(
        name="sandbox_upload",
        title="Write a file into a sandbox",
        description="Write one file into a running sandbox, over what is there. Missing folders are made.",
        arguments=UploadArguments,
        answers="upload",
        effect=Effect.REPLACES,
        run=sandbox_upload,
    ),
)
