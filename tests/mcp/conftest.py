"""A server of a folder of the test's own, and clients of the SDK that are connected to it in this process."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult

from nexus.local.daemon import Endpoint
from nexus.mcp.seat import Seat
from nexus.mcp.server import TOOLS, make_server, offered
from nexus.mcp.serving import Calls

Elicit = Callable[[str], Awaitable[ElicitResult]]


@dataclass
class Agent:
    """A client that notes the progress it is told, and holds every answer against the tool's schema."""

    client: Client
    progress: list[tuple[float, float | None, str | None]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, tool: str, /, **arguments: Any) -> CallToolResult:
        async def note(done: float, total: float | None, message: str | None) -> None:
            self.progress.append((done, total, message))
            self.news.set()

        answer = await self.client.call_tool(tool, arguments, progress_callback=note)
        schema = next(item.listed().output_schema for item in TOOLS if item.name == tool)
        jsonschema.validate(answer.structured_content, schema)
        return answer

    async def document(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The document of a call that has to do its work."""
        answer = await self.call(tool, **arguments)
        assert not answer.is_error, text_of(answer)
        return answer.structured_content

    async def code_of(self, tool: str, /, **arguments: Any) -> str | None:
        """The published code of a call that has to fail, and that says what to do."""
        answer = await self.call(tool, **arguments)
        assert answer.is_error, text_of(answer)
        assert "hint: " in text_of(answer)
        assert "Traceback" not in text_of(answer)
        return answer.structured_content["code"]

    async def hears(self, text: str) -> None:
        """Wait until progress has told of ``text``."""
        async with asyncio.timeout(60):
            while text not in self.told:
                self.news.clear()
                await self.news.wait()

    @property
    def told(self) -> str:
        return "\n".join(message or "" for _, _, message in self.progress)


def text_of(answer: CallToolResult) -> str:
    (content,) = answer.content
    return content.text


Connect = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture
def connect() -> Connect:
    """Connect a client: ``mode`` legacy speaks the protocol of 2025, auto that of 2026; ``elicit`` answers."""

    @asynccontextmanager
    async def connected(
        seat: Seat, *, mode: str = "legacy", elicit: Elicit | None = None, read_only: bool = False
    ) -> AsyncIterator[Agent]:
        async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
            assert elicit is not None
            return await elicit(params.message)

        def unexpected(problem: Exception) -> None:
            raise problem

        server = make_server(seat, offered(read_only=read_only), unexpected, Calls().carry)
        callback = None if elicit is None else answer
        async with Client(server, mode=mode, elicitation_callback=callback, cache=None) as client:
            yield Agent(client)

    return connected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    place = tmp_path / "project"
    place.mkdir()
    return place


@pytest.fixture
def seat(folder: Path) -> Seat:
    """One that has no target to reach."""
    return Seat(folder=folder, environment="default", process={}, local=True)


@pytest.fixture
def live_seat(engine: Endpoint, folder: Path) -> Seat:
    return Seat(folder=folder, environment="default", process={"NEXUS_HOME": str(engine.home)}, local=True)


@pytest.fixture
async def agent(live_seat: Seat, connect: Connect) -> AsyncIterator[Agent]:
    """A client whose sandboxes, those with a name of the test's own, end with the test."""
    async with held(connect(live_seat)) as agent:
        yield agent


@asynccontextmanager
async def held(connection: AbstractAsyncContextManager[Agent]) -> AsyncIterator[Agent]:
    """Held open by a task of its own: a fixture begins and ends in different ones, which a client does not bear."""
    opened: asyncio.Future[Agent] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def hold() -> None:
        async with connection as agent:
            opened.set_result(agent)
            await ended.wait()

    task = asyncio.create_task(hold())
    try:
        yield await opened
    finally:
        ended.set()
        await task


async def eventually(probe: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so."""
    async with asyncio.timeout(60):
        for pause in itertools.repeat(0.1):
            if await probe():
                return
            await asyncio.sleep(pause)


@pytest.fixture
async def owner(agent: Agent) -> AsyncIterator[str]:
    """What the test's sandboxes have in their metadata; they are deleted at the end."""
    name = f"t{secrets.token_hex(5)}"
    yield name
    for item in (await agent.document("sandbox_list"))["sandboxes"]:
        if item["metadata"].get("owner") == name or item["project"] == name:
            await agent.call("sandbox_delete", sandbox_id=item["id"])
