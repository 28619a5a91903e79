"""One operation on a sandbox → the function that makes it."""

from __future__ import annotations

from nexus.kinds.sandbox import SandboxSpec
from nexus.model.changes import Verb
from nexus.providers.base import Call, ProviderError, Result
from nexus.providers.e2b import errors
from nexus.providers.e2b.sandbox import commands, endings, environment, lifecycle, packages, processes, uploads
from nexus.providers.e2b.world import World, record_of, spec_of, unsupported
from nexus.providers.recording import record_after


class SandboxHandler:
    """Makes effects on sandboxes: outside through E2B's API, inside through commands and files."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def execute(self, call: Call) -> Result:
        match call.operation.verb:
            case Verb.CREATE:
                return await lifecycle.create(self._world, call)
            case Verb.ARM | Verb.EXTEND:
                return await lifecycle.set_timeout(self._world, call)
            case Verb.RESUME:
                return await lifecycle.resume(self._world, call)
            case Verb.ADOPT:
                return await lifecycle.adopt(self._world, call)
            case Verb.SET_NETWORK:
                return await lifecycle.set_network(self._world, call)
            case Verb.RECORD:
                return await lifecycle.record(self._world, call)
            case Verb.DELETE:
                return await endings.delete(self._world, call)
            case Verb.SET_ENV | Verb.INSTALL | Verb.UPLOAD | Verb.RUN_COMMAND | Verb.START | Verb.AWAIT_READY:
                return await self._explained(call)
            case _:
                raise unsupported(call)

    async def _explained(self, call: Call) -> Result:
        """A setup unit. That a sandbox does not answer may mean that it is gone, or only that it is paused."""
        try:
            return await self._set_up(call)
        except ProviderError as problem:
            if problem.diagnostic.code != errors.SANDBOX_NOT_RUNNING:
                raise
            raise await self._world.sandboxes.explain(record_of(call).id, str(call.address)) from problem

    async def _set_up(self, call: Call) -> Result:
        """One setup unit, unless the sandbox itself says that it is done."""
        record, spec = record_of(call), spec_of(call, SandboxSpec)
        inside = await self._world.sandboxes.open(record.id, str(call.address))
        receipt = (await inside.receipt()).for_call(call)
        if call.operation.verb is not Verb.AWAIT_READY and receipt.tells_done(call):
            return Result(record_after(call), unchanged=True)
        match call.operation.verb:
            case Verb.SET_ENV:
                await environment.set_env(inside, call, spec, receipt)
            case Verb.INSTALL:
                await packages.install(inside, call, spec, receipt)
            case Verb.UPLOAD:
                compress = not self._world.connection.settings.is_local
                await uploads.upload(inside, call, spec, receipt, compress=compress)
            case Verb.RUN_COMMAND:
                await commands.run_command(inside, call, spec, receipt)
            case Verb.START:
                await processes.start(inside, call, spec, receipt)
            case _:
                await processes.await_ready(inside, call, spec)
        return Result(record_after(call))
