"""The provider over the official E2B SDK: one instance serves one run, against the cloud or the local engine alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from e2b import AsyncSandbox, Sandbox
from e2b.sandbox.main import SandboxOpts

from nexus.model.addresses import Address
from nexus.model.changes import Verb
from nexus.model.lockfile import Closure, Requirements
from nexus.model.observation import Observation, Observed
from nexus.model.state import Intent, ResourceRecord, State, Target
from nexus.model.values import Attributes
from nexus.providers.base import Call, Found, Inventory, Result
from nexus.providers.e2b import adoption, find, inspection, inventory, observe, resolving
from nexus.providers.e2b.connection import Connection, Settings
from nexus.providers.e2b.errors import translate
from nexus.providers.e2b.inside import Sandboxes
from nexus.providers.e2b.metadata import spec_digest
from nexus.providers.e2b.operator import E2BOperator
from nexus.providers.e2b.redaction import RedactedReport, Redactor
from nexus.providers.e2b.sandbox import SandboxHandler
from nexus.providers.e2b.secrets import secrets_of
from nexus.providers.e2b.shared_setup import SetupHandler
from nexus.providers.e2b.step import StepHandler
from nexus.providers.e2b.template import TemplateHandler, build_of
from nexus.providers.e2b.volume import VolumeHandler
from nexus.providers.e2b.world import World, unsupported
from nexus.providers.operating import Usage
from nexus.providers.results import Results


class Handler(Protocol):
    """Makes the effects of one kind."""

    async def execute(self, call: Call) -> Result: ...


def _wall_clock() -> datetime:
    return datetime.now(UTC)


def _no_secrets() -> Iterable[str]:
    return ()


class E2BProvider:
    """See :class:`nexus.providers.base.Provider`.

    ``secrets`` answers with all secret values that the run has resolved so far. A call alone does not tell the parts of
    a text that an expression has put together, so without it only the whole of such a text is recognised in output.
    ``results`` keeps what steps left on this machine; without it, steps with a sandbox of their own have no outputs.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        secrets: Callable[[], Iterable[str]] = _no_secrets,
        now: Callable[[], datetime] = _wall_clock,
        results: Results | None = None,
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._connection = Connection(settings)
        self._world = World(self._connection, Sandboxes(self._connection), now, results)
        templates, sandboxes = TemplateHandler(self._world), SandboxHandler(self._world)
        self._handlers: Mapping[str, Handler] = {
            "sandbox": sandboxes,
            "setup": SetupHandler(self._world, sandboxes),
            "template": templates,
            "catalogue": templates,
            "volume": VolumeHandler(self._world),
            "step": StepHandler(self._world, secrets),
        }

    @property
    def operator(self) -> E2BOperator:
        """Commands on live sandboxes, over the same connection."""
        return E2BOperator(self._world, self._secrets)

    async def sdk_sandbox(self, sandbox_id: str, address: str) -> Sandbox:
        """A running sandbox as an object of E2B's SDK, for code that waits. Raises ProviderError."""
        return self._connection.client.Sandbox(**await self._sandbox_options(sandbox_id, address))

    async def async_sdk_sandbox(self, sandbox_id: str, address: str) -> AsyncSandbox:
        """The same for code in an event loop."""
        return self._connection.client.AsyncSandbox(**await self._sandbox_options(sandbox_id, address))

    async def _sandbox_options(self, sandbox_id: str, address: str) -> SandboxOpts:
        try:
            return self._connection.sandbox_options(await self._world.sandboxes.look_up(sandbox_id, address))
        except Exception as problem:
            raise translate(problem, address) from problem

    async def identity(self) -> Target:
        with_key = self._connection.client.AsyncSandbox.list(limit=1)
        try:
            await with_key.next_items()
        except Exception as problem:
            raise translate(problem) from problem
        kind = "local" if self._settings.is_local else "e2b"
        return Target(kind, self._settings.account, self._connection.access)

    async def observe(self, state: State, catalogue: Mapping[Address, str], *, count_all: bool = False) -> Observation:
        try:
            return await observe.observe(self._world, state, catalogue, count_all=count_all)
        except ExceptionGroup as problems:
            raise translate(_first(problems)) from problems
        except Exception as problem:
            raise translate(problem) from problem

    async def look_inside(self, state: State, observation: Observation) -> Observation:
        try:
            return await inspection.look_inside(self._world, state, observation)
        except Exception as problem:
            raise translate(problem) from problem

    async def measure(self, ids: Sequence[str]) -> Mapping[str, Usage]:
        try:
            return await inspection.measure(self._world, ids)
        except Exception as problem:
            raise translate(problem) from problem

    async def inventory(
        self, project: str, environment: str, named: Mapping[Address, str], adopted: Mapping[Address, str]
    ) -> Inventory:
        try:
            return await inventory.take(self._world, project, environment, named, adopted)
        except ExceptionGroup as problems:
            raise translate(_first(problems)) from problems
        except Exception as problem:
            raise translate(problem) from problem

    async def examine(self, wanted: Mapping[Address, str]) -> Mapping[Address, Observed]:
        try:
            return await adoption.examine(self._world, wanted)
        except Exception as problem:
            raise translate(problem) from problem

    def spec_digest(self, attributes: Attributes) -> str:
        return spec_digest(attributes)

    async def resolve(self, sandbox: ResourceRecord, requirements: Requirements) -> Mapping[str, Closure]:
        address = str(sandbox.address)
        try:
            return await resolving.resolve(await self._world.sandboxes.open(sandbox.id, address), requirements)
        except Exception as problem:
            raise translate(problem, address) from problem

    async def build_ids(self, templates: Sequence[str]) -> Mapping[str, str]:
        try:
            found = {name: await build_of(self._world, name) for name in templates}
        except Exception as problem:
            raise translate(problem) from problem
        return {name: build_id for name, build_id in found.items() if build_id is not None}

    async def outputs_of(self, record: ResourceRecord) -> Attributes:
        try:
            return await inventory.outputs_of(self._world, record)
        except Exception as problem:
            raise translate(problem, str(record.address)) from problem

    async def find(self, state: State, intents: Sequence[Intent]) -> Mapping[str, tuple[Found, ...]]:
        try:
            return await find.find(self._world, state, intents)
        except Exception as problem:
            raise translate(problem) from problem

    async def execute(self, call: Call) -> Result:
        redactor = Redactor((*secrets_of(call), *self._secrets()))
        guarded = replace(call, report=RedactedReport(call.report, redactor))
        try:
            return await self._execute(guarded)
        except Exception as problem:
            failed = translate(problem, str(call.address))
            failed.diagnostic = redactor.diagnostic(failed.diagnostic)
            failed.args = (str(failed.diagnostic),)
            # Nothing is chained: what lies beneath may quote what must not be seen.
            raise failed from None

    async def _execute(self, call: Call) -> Result:
        if call.operation.verb is Verb.FORGET:
            return Result(None)
        handler = self._handlers.get(call.address.kind)
        if handler is None:
            raise unsupported(call)
        return await handler.execute(call)

    async def discard(self, intent: Intent, found: Found) -> None:
        try:
            await find.discard(self._world, intent, found)
        except Exception as problem:
            raise translate(problem, str(intent.address)) from problem

    async def aclose(self) -> None:
        await self._connection.aclose()


def _first(problems: ExceptionGroup[Exception]) -> Exception:
    """The first failure of a group of tasks."""
    first = problems.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
