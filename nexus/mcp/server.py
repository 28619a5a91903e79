"""The server: lists the tools, checks what they are given, calls them, and makes an answer of whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
)
from pydantic import ValidationError

import nexus
from nexus.mcp import changing, making, pools, projects, records, sandboxes
from nexus.mcp.asking import Unanswered, asking
from nexus.mcp.progress import Progress
from nexus.mcp.results import Answer, failure
from nexus.mcp.seat import Seat
from nexus.mcp.tools import Call, Tool
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error

TOOLS: Final[tuple[Tool[Any], ...]] = (
    *making.TOOLS,
    *sandboxes.TOOLS,
    *projects.TOOLS,
    *changing.TOOLS,
    *pools.TOOLS,
    *records.TOOLS,
)

_INSTRUCTIONS: Final = """\
nexus runs isolated E2B sandboxes, in the cloud or on this machine. sandbox_create makes one at once, outside of any \
project. What is to last is declared in nexus.yaml: look with validate, plan and drift, and change it with apply, \
which shows its plan before it does anything. Errors carry a code and a hint that says what to do.\
"""

OnBug = Callable[[Exception], object]
"""Told of exceptions that nobody expected."""


class Carry(Protocol):
    """Does the work of a call to its end, whether the client waits for it or not."""

    async def __call__(self, work: Coroutine[Any, Any, Answer], /) -> Answer: ...


def offered(*, read_only: bool) -> tuple[Tool[Any], ...]:
    return tuple(tool for tool in TOOLS if tool.changes_nothing or not read_only)


def make_server(seat: Seat, tools: Sequence[Tool[Any]], on_bug: OnBug, carry: Carry) -> Server[Any]:
    """A server for one seat, apart from what carries its messages. ``carry`` does the work of each call."""
    by_name = {tool.name: tool for tool in tools}

    async def list_tools(
        context: ServerRequestContext[Any],  # noqa: ARG001
        params: PaginatedRequestParams | None,  # noqa: ARG001
    ) -> ListToolsResult:
        return ListToolsResult(tools=[tool.listed() for tool in tools])

    async def call_tool(
        context: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        tool = by_name.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool {params.name}; they are: {', '.join(by_name)}")
        try:
            async with Progress(context.session.report_progress) as progress:
                call = Call(seat=seat, progress=progress, ask=asking(context, params))
                answer = await carry(_answer(tool, call, params.arguments or {}, on_bug))
                return answer.to_mcp()
        except Unanswered as pending:
            return pending.to_mcp()

    return Server(
        "nexus",
        version=nexus.__version__,
        title="nexus",
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _answer(tool: Tool[Any], call: Call, given: dict[str, Any], on_bug: OnBug) -> Answer:
    read_source = call.seat.read_source
    try:
        arguments = tool.arguments.model_validate(given)
    except ValidationError as problem:
        return failure(_wrong_arguments(tool, problem), read_source)
    try:
        return await tool.run(call, arguments)
    except DiagnosticsError as problem:
        return failure(problem.diagnostics, read_source)
    except Unanswered:
        raise
    except Exception as problem:
        on_bug(problem)
        return failure([_bug(problem)], read_source)


_MISTAKES: Final = {"missing": "it has to be given", "extra_forbidden": "there is no such argument"}


def _mistake(kind: str, message: str) -> str:
    return _MISTAKES.get(kind, message.removeprefix("Value error, "))


def _wrong_arguments(tool: Tool[Any], problem: ValidationError) -> list[Diagnostic]:
    """One for each; nothing of the values, which may be secrets."""
    known = ", ".join(tool.arguments.model_fields)
    return [
        error(
            "invalid-arguments",
            f"{'.'.join(map(str, item['loc'])) or 'the arguments'}: {_mistake(item['type'], item['msg'])}",
            hint=f"{tool.name} takes: {known}",
        )
        for item in problem.errors(include_input=False, include_url=False, include_context=False)
    ]


def _bug(problem: Exception) -> Diagnostic:
    return error(
        "bug",
        f"This is a bug in nexus ({type(problem).__name__})",
        hint="what is needed to mend it is in the server's log; nothing that was done is lost",
    )
