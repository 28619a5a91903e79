"""One operation from its start to its end: resolve, journal the intent, call, journal what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from nexus.executor.calling import LOCK_LOST, Caller, CallFailedError
from nexus.executor.clock import timestamp
from nexus.executor.results import Check, Resolve, Resolved, no_conditions
from nexus.kinds.base import SourceFiles
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan, Verb
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, SourceRange, error
from nexus.model.events import Event, LogLine, OperationProgress, Outcome
from nexus.model.resources import Stage
from nexus.model.state import Intent, ResourceRecord, Tree
from nexus.model.values import digest
from nexus.providers.base import Call, Gone, LimitReached, ProviderError, Result
from nexus.providers.recording import record_after
from nexus.stores.base import Journal
from nexus.stores.entries import Begin, Done, Failed
from nexus.stores.fold import UNRECORDED, Folding

_MAKES_ANEW: Final = (Verb.CREATE, Verb.BUILD, Verb.RUN_STEP, Verb.ADOPT)
"""Verbs that need no record of the object that they are about."""

JOURNAL_BROKEN: Final = "the journal can't be written"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an operation ended. ``limit``: the account is full; ``halt`` says why nothing new may be begun.

    ``record`` is what is remembered of the resource from now on, where the operation says it.
    """

    outcome: Outcome
    diagnostics: tuple[Diagnostic, ...] = ()
    limit: bool = False
    halt: str = ""
    bug: Exception | None = None
    note: str = ""
    record: ResourceRecord | None = None


@dataclass(frozen=True, slots=True)
class _Reporter:
    operation: Operation
    emit: Callable[[Event], None]

    def progress(self, message: str) -> None:
        self.emit(OperationProgress(operation=self.operation, message=message))

    def log(self, stream: str, text: str) -> None:
        self.emit(LogLine(operation=self.operation, stream=stream, text=text))


class Performer:
    """Performs the operations of one plan. Many at a time, but never two about one address."""

    def __init__(
        self,
        plan: Plan,
        folding: Folding,
        journal: Journal,
        caller: Caller,
        *,
        resolve: Resolve,
        files: SourceFiles,
        ids: Callable[[], str],
        emit: Callable[[Event], None],
        check: Check = no_conditions,
    ) -> None:
        self._plan = plan
        self._folding = folding
        self._journal = journal
        self._caller = caller
        self._resolve = resolve
        self._files = files
        self._ids = ids
        self._emit = emit
        self._check = check
        self._unrecorded: dict[Address, ResourceRecord] = {}

    def lookup(self, address: Address) -> ResourceRecord | None:
        """The current record of an address, made in this run or before."""
        return self._folding.record(address) or self._unrecorded.get(address)

    async def perform(self, operation: Operation) -> Ending:
        """Never raises but CancelledError: then what was begun stays an open intent."""
        try:
            await self._caller.verify_lock()
        except DiagnosticsError as lost:
            return Ending(Outcome.FAILED, lost.diagnostics, halt=LOCK_LOST)
        try:
            match operation.verb:
                case Verb.FORGET:
                    return await self._forget(operation)
                case Verb.DELETE:
                    return await self._delete(operation)
                case Verb.CHECK:
                    return self._judge(operation)
                case _:
                    return await self._change(operation)
        except DiagnosticsError as problem:
            return Ending(Outcome.FAILED, problem.diagnostics)
        except Exception as bug:
            return Ending(Outcome.FAILED, (_bug(operation, bug),), bug=bug)

    # ---- the three ways of an operation

    async def _forget(self, operation: Operation) -> Ending:
        record = self._meant(operation)
        if record is None:
            return Ending(Outcome.UNCHANGED)
        return await self._close(Done(key=self._ids(), removed=record.uid))

    async def _delete(self, operation: Operation) -> Ending:
        record = self._meant(operation)
        if record is None:
            return Ending(Outcome.UNCHANGED)
        call = self._call(operation, self._ids(), record.uid, record, None)
        return await self._effect(call, Intent(key=call.key, address=call.address, verb=operation.verb, uid=call.uid))

    def _judge(self, operation: Operation) -> Ending:
        """A condition that could not be told when the plan was made. Changes nothing, and so is not journalled."""
        found = self._check(operation.address, Stage(operation.unit), self.lookup)
        return Ending(Outcome.FAILED if found else Outcome.SUCCEEDED, found)

    async def _change(self, operation: Operation) -> Ending:
        resolved = self._resolve(operation.address, self.lookup)
        record = self.lookup(operation.address)
        if record is None and operation.verb not in _MAKES_ANEW:
            return Ending(Outcome.FAILED, (_missing(operation),))
        if operation.verb is Verb.CREATE:
            return await self._create(operation, resolved)
        uid = self._ids() if record is None else record.uid
        call = self._call(operation, self._ids(), uid, record, resolved)
        intent = Intent(
            key=call.key, address=call.address, verb=operation.verb, unit=operation.unit, uid=uid, body=_body(resolved)
        )
        if operation.verb is Verb.RUN_STEP and not operation.force and _ran_already(call):
            taken_in = record_after(replace(call, operation=replace(operation, verb=Verb.RECORD)))
            return replace(await self._remember(call, taken_in, resolved), outcome=Outcome.UNCHANGED)
        if operation.verb in (Verb.RECORD, Verb.ADOPT):
            return await self._take_in(call, intent, resolved)
        return await self._effect(call, intent, resolved)

    async def _create(self, operation: Operation, resolved: Resolved) -> Ending:
        """An open create of the same thing is made again with the same key, and so answers with what is there.

        The answer may be what has ended since: then it is made once more, and anew.
        """
        body = _body(resolved, operation.unit)
        same = (item for item in self._folding.pending(operation.address) if item.verb == Verb.CREATE)
        earlier = next((item for item in same if item.body == body), None)
        key, uid = (self._ids(), self._ids()) if earlier is None else (earlier.key, earlier.uid)
        call = self._call(operation, key, uid, None, resolved)
        draft = None if operation.address.kind in UNRECORDED else _owned(record_after(call), resolved)
        intent = Intent(key=key, address=operation.address, verb=Verb.CREATE, uid=uid, body=body, draft=draft)
        ending = await self._effect(call, intent, resolved)
        made = self._folding.incarnation(operation.address, uid)
        if earlier is None or made is None or not await self._caller.has_ended(made, self._folding.state()):
            return ending
        await self._close(Done(key=key, removed=uid))
        return await self._create(operation, resolved)

    async def _take_in(self, call: Call, intent: Intent, resolved: Resolved) -> Ending:
        """What is only to be remembered: it changes nothing out there, and so needs no intent in the journal."""
        try:
            result = await self._caller.make(call, intent, self._folding.state)
        except CallFailedError as failed:
            return Ending(Outcome.FAILED, (failed.failure.diagnostic.at(None, str(call.address)),))
        if result.record is None:
            return Ending(Outcome.UNCHANGED)
        return await self._remember(call, _checked(call, result.record), resolved)

    async def _remember(self, call: Call, record: ResourceRecord, resolved: Resolved) -> Ending:
        record = _owned(record, resolved)
        if record == call.record:
            return Ending(Outcome.UNCHANGED, record=record)
        ending = Ending(Outcome.SUCCEEDED, record=record)
        return await self._close(Done(key=call.key, record=record, trees=self._new_trees(resolved)), ending)

    # ---- the effect, between two entries of the journal

    async def _effect(self, call: Call, intent: Intent, resolved: Resolved | None = None) -> Ending:
        begin = Begin(replace(intent, started_at=timestamp(self._caller.clock.now())), call.operation.id)
        try:
            await _durably(self._journal.append(begin))
        except DiagnosticsError as problem:
            return Ending(Outcome.FAILED, problem.diagnostics, halt=JOURNAL_BROKEN)
        self._folding.apply(begin)
        try:
            result = await self._caller.make_in_time(call, intent, self._folding.state)
        except CallFailedError as failed:
            return await self._failure(call, failed, resolved)
        except Exception as bug:
            diagnostic = _bug(call.operation, bug)
            ending = Ending(Outcome.FAILED, (diagnostic,), bug=bug)
            unresolved = call.operation.verb is Verb.CREATE
            return await self._close(_failed(call, diagnostic, unresolved=unresolved), ending)
        return await self._success(call, result, resolved)

    async def _success(self, call: Call, result: Result, resolved: Resolved | None) -> Ending:
        record, removed = result.record, ""
        if record is None:
            removed = call.uid
        elif resolved is not None:
            record = _owned(_checked(call, record), resolved)
        if record is not None and record.address.kind in UNRECORDED:
            self._unrecorded[record.address], record = record, None
            removed = ""
        done = Done(key=call.key, record=record, removed=removed, trees=self._new_trees(resolved))
        outcome = Outcome.UNCHANGED if result.unchanged else Outcome.SUCCEEDED
        return await self._close(done, Ending(outcome, note=result.note, record=record))

    async def _failure(self, call: Call, failed: CallFailedError, resolved: Resolved | None) -> Ending:
        failure, record = failed.failure, failed.failure.record
        gone = isinstance(failure, Gone)
        if gone and call.operation.verb is Verb.DELETE:
            return await self._success(call, Result(None), None)
        diagnostic = failure.diagnostic.at(_place(call, failure, resolved), str(call.address))
        left = None if record is None or resolved is None else _owned(_checked(call, record), resolved)
        entry = _failed(
            call,
            diagnostic,
            record=left,
            removed=call.uid if gone and call.record is not None else "",
            unresolved=failed.in_doubt and call.operation.verb is Verb.CREATE,
        )
        limit = isinstance(failure, LimitReached)
        ending = Ending(Outcome.FAILED, (diagnostic,), limit=limit, halt=failed.halt, record=left)
        return await self._close(entry, ending)

    async def _close(self, entry: Done | Failed, ending: Ending | None = None) -> Ending:
        """Remember an effect: at once in this process, and durably. When the latter fails, nothing new is begun."""
        ending = ending or Ending(Outcome.SUCCEEDED)
        self._folding.apply(entry)
        try:
            await _durably(self._journal.append(entry))
        except DiagnosticsError as problem:
            return replace(ending, diagnostics=(*ending.diagnostics, *problem.diagnostics), halt=JOURNAL_BROKEN)
        return ending

    # ---- parts

    def _meant(self, operation: Operation) -> ResourceRecord | None:
        if operation.uid:
            return self._folding.incarnation(operation.address, operation.uid)
        return self._folding.record(operation.address)

    def _new_trees(self, resolved: Resolved | None) -> dict[str, Tree]:
        if resolved is None:
            return {}
        known = self._folding.trees
        return {digest: tree for digest, tree in resolved.trees.items() if digest not in known}

    def _call(
        self, operation: Operation, key: str, uid: str, record: ResourceRecord | None, resolved: Resolved | None
    ) -> Call:
        attributes = record.attributes if record is not None else {}
        return Call(
            operation=operation,
            key=key,
            uid=uid,
            project=self._plan.project,
            environment=self._plan.environment,
            report=_Reporter(operation, self._emit),
            files=self._files,
            upstream=self.lookup,
            spec=None if resolved is None else resolved.spec,
            attributes=attributes if resolved is None else resolved.attributes,
            units=() if resolved is None else resolved.units,
            record=record,
            trees={} if resolved is None else resolved.trees,
            prior_trees=self._folding.trees,
            lineage=self._plan.lineage,
        )


def _body(resolved: Resolved, made_from: str = "") -> str:
    """What two creates must have in common to be the same one."""
    whole = dict(resolved.attributes)
    return digest({**whole, "made_from": made_from} if made_from else whole, 24)


def _owned(record: ResourceRecord, resolved: Resolved) -> ResourceRecord:
    return replace(record, depends_on=resolved.depends_on, protected=resolved.protected, on_destroy=resolved.on_destroy)


def _checked(call: Call, record: ResourceRecord) -> ResourceRecord:
    if record.address != call.address or record.uid != call.uid:
        raise RuntimeError(f"the provider answered {call.operation} with the record of {record.address}")
    return record


def _ran_already(call: Call) -> bool:
    name = call.operation.unit or "run"
    unit = next((unit for unit in call.units if unit.name == name), None)
    if unit is None or unit.digest is None or call.record is None or call.attributes.get("on") == "always":
        return False
    return call.record.setup.get(name) == unit.digest


def _failed(
    call: Call, why: Diagnostic, *, record: ResourceRecord | None = None, removed: str = "", unresolved: bool = False
) -> Failed:
    return Failed(
        key=call.key, code=why.code, summary=why.summary, record=record, removed=removed, unresolved=unresolved
    )


def _place(call: Call, failure: ProviderError, resolved: Resolved | None) -> SourceRange | None:
    """Where what failed is written: the field that the failure names, or that the unit was made of."""
    if resolved is None:
        return None
    unit = call.unit
    names = (failure.field,) if unit is None else (failure.field, unit.name, unit.field)
    return next((resolved.places[name] for name in names if name in resolved.places), None)


def _missing(operation: Operation) -> Diagnostic:
    return error(
        "resource-missing",
        "The resource is not there any more",
        detail=f"{operation.address} was to be changed, but there is no record of it.",
        hint="run apply again: it will be created",
        address=str(operation.address),
    )


def _bug(operation: Operation, bug: Exception) -> Diagnostic:
    """Only the type is told: a message may hold anything, secrets too."""
    return error(
        "internal-error",
        "This is a bug in nexus",
        detail=f"{operation.verb} {operation.address} ended with {type(bug).__name__}.",
        hint="please report it, with the log file",
        address=str(operation.address),
    )


async def _durably(writing: Awaitable[None]) -> None:
    """See it written even when cancelled meanwhile: what has happened out there must not be forgotten."""
    task = asyncio.ensure_future(writing)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as request:
            if task.cancelled():
                raise
            cancelled = request
        except DiagnosticsError:
            break
    if cancelled is not None:
        raise cancelled
    task.result()
