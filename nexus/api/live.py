"""Where commands on live sandboxes stand: in a project's environment, or in an account. Opened for each command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.state import Target as Account
from nexus.model.values import reveal
from nexus.providers.operating import Configured, Operator
from nexus.providers.reporting import Report
from nexus.wiring import Choice, choose_target, connect
from nexus.workflows.configuring import Changes
from nexus.workflows.operating import Place, Sandbox, about, available_secrets, check_target, find_sandbox

if TYPE_CHECKING:
    import e2b

Target = Literal["local", "e2b"]
BindInterrupt = Callable[[Callable[[], None] | None], None]
"""Handed what an interrupt has to call while there is something to interrupt; None once there is not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where sandboxes are made and looked for: ``target`` is local or e2b, and ``because`` says what decided it.

    ``project`` and ``environment`` are "" outside of any project.
    """

    target: str
    because: str
    project: str = ""
    environment: str = ""

    @property
    def is_billed(self) -> bool:
        """Whether what runs there costs anything."""
        return self.target != "local"

    def __str__(self) -> str:
        where = f"project {self.project}, environment {self.environment}" if self.project else "no project"
        return f"{self.target} ({self.because}), {where}"


class Connected(Protocol):
    """What is connected to where the sandboxes are: whose account that is, and objects of E2B's own SDK for it."""

    @property
    def operator(self) -> Operator: ...

    async def identity(self) -> Account: ...

    async def sdk_sandbox(self, sandbox_id: str, address: str) -> e2b.Sandbox: ...

    async def async_sdk_sandbox(self, sandbox_id: str, address: str) -> e2b.AsyncSandbox: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What a command asks."""

    place: Place
    operator: Operator
    connected: Connected

    async def find(self, name: str) -> Sandbox:
        """The sandbox that ``name`` means. Raises DiagnosticsError when there is none."""
        return await find_sandbox(self.place, self.operator, name)


@dataclass(frozen=True, slots=True)
class _Connection:
    """``secrets`` are taken out of whatever sandboxes say."""

    provider: Connected
    secrets: set[str]


class WriteBack(Protocol):
    """Makes changes to a sandbox that the manifest says, too."""

    async def __call__(
        self,
        ground: Ground,
        sandbox: Sandbox,
        changes: Changes,
        report: Report,
        bind_interrupt: BindInterrupt,
        patience: float,
    ) -> Configured: ...


async def nowhere() -> Place:
    """Outside of any project."""
    return Place()


def _no_alerts(address: str) -> Mapping[str, int]:  # noqa: ARG001
    return {}


async def _no_manifest(
    ground: Ground,  # noqa: ARG001
    sandbox: Sandbox,
    changes: Changes,  # noqa: ARG001
    report: Report,  # noqa: ARG001
    bind_interrupt: BindInterrupt,  # noqa: ARG001
    patience: float,  # noqa: ARG001
) -> Configured:
    detail = "Only a project that is loaded has blocks to edit."
    raise DiagnosticsError(error("not-editable", f"No manifest here speaks of {sandbox}", detail=detail))


class Grounds:
    """Opens what commands ask: a connection for each of them, or one for all of them while it is held.

    ``place`` reads what is remembered by now; ``alerts`` are the thresholds that are declared for an address.
    """

    def __init__(
        self,
        *,
        process: Mapping[str, str],
        target: Target | None = None,
        place: Callable[[], Awaitable[Place]] = nowhere,
        alerts: Callable[[str], Mapping[str, int]] = _no_alerts,
        write_back: WriteBack = _no_manifest,
    ) -> None:
        if target is not None:
            choose_target(process, {}, asked=target)  # one that there is not is refused at once
        self.process = process
        self.target = target
        self.alerts = alerts
        self.write_back = write_back
        self._place = place
        self._held: AsyncExitStack | None = None
        self._shared: _Connection | None = None
        self._connecting = asyncio.Lock()

    async def where(self) -> Whereabouts:
        """Which target it is. Asks nothing of it."""
        place, choice = await self._standing()
        return Whereabouts(
            target=choice.kind, because=choice.because, project=place.project, environment=place.environment
        )

    @asynccontextmanager
    async def open(self, *, hide_secrets: bool = False) -> AsyncIterator[Ground]:
        """Starts the local engine when it is the target. ``hide_secrets`` takes the project's out of logs."""
        place, choice = await self._standing()
        check_target(place, choice.kind)
        async with AsyncExitStack() as own:
            connection = await self._connection(choice, own)
            if hide_secrets:
                connection.secrets.update(str(reveal(value)) for value in available_secrets(place, self.process))
            with about(None):
                yield Ground(place, connection.provider.operator, connection.provider)

    async def hold(self) -> None:
        """Let all commands from now on share the connection that the first of them opens."""
        if self._held is not None:
            raise RuntimeError("it is held already")
        self._held = AsyncExitStack()

    async def release(self) -> None:
        """Close what was shared."""
        held, self._held, self._shared = self._held, None, None
        if held is not None:
            await held.aclose()

    async def _standing(self) -> tuple[Place, Choice]:
        place = await self._place()
        choice = choose_target(self.process, place.provider_settings, asked=self.target)
        return replace(place, target=choice.kind), choice

    async def _connection(self, choice: Choice, own: AsyncExitStack) -> _Connection:
        if self._held is None:
            return await self._connect(choice, own)
        async with self._connecting:
            if self._shared is None:
                self._shared = await self._connect(choice, self._held)
            return self._shared

    async def _connect(self, choice: Choice, stack: AsyncExitStack) -> _Connection:
        secrets: set[str] = set()
        provider = await connect(choice, self.process, secrets=lambda: secrets)
        stack.push_async_callback(provider.aclose)
        return _Connection(provider, secrets)
