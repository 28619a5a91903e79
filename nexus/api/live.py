"""Where commands on live sandboxes stand: in a project's environment, or in an account. Opened for each command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from nexus.model.values import reveal
from nexus.providers.operating import Operator
from nexus.wiring import choose_target, connect
from nexus.workflows.operating import Place, available_secrets, check_target

if TYPE_CHECKING:
    import e2b


class Sdk(Protocol):
    """What hands out the objects of E2B's own SDK, connected to where the sandboxes are."""

    async def sdk_sandbox(self, sandbox_id: str, address: str) -> e2b.Sandbox: ...

    async def async_sdk_sandbox(self, sandbox_id: str, address: str) -> e2b.AsyncSandbox: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What a command asks."""

    place: Place
    operator: Operator
    sdk: Sdk


async def _no_place() -> Place:
    return Place()


def _no_alerts(address: str) -> Mapping[str, int]:  # noqa: ARG001
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """``place`` reads what is remembered by now; ``alerts`` are the thresholds that are declared for an address."""

    process: Mapping[str, str]
    place: Callable[[], Awaitable[Place]] = field(default=_no_place)
    alerts: Callable[[str], Mapping[str, int]] = field(default=_no_alerts)

    @asynccontextmanager
    async def open(self, *, hide_secrets: bool = False) -> AsyncIterator[Ground]:
        """Starts the local engine when it is the target. ``hide_secrets`` takes the project's out of logs."""
        place = await self.place()
        choice = choose_target(self.process, place.provider_settings)
        check_target(place, choice.kind)
        secrets = available_secrets(place, self.process) if hide_secrets else ()
        texts = [str(reveal(value)) for value in secrets]
        provider = await connect(choice, self.process, secrets=lambda: texts)
        try:
            yield Ground(replace(place, target=choice.kind), provider.operator, provider)
        finally:
            await provider.aclose()
