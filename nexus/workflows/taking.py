"""The use case `pool take`: one sandbox that stands ready becomes somebody's own.

Whoever holds the state's lock takes one at a time. The sandbox is marked from outside first, and then the journal says
whose it is: from that entry on it is given out, and it stands in no pool any more. Ended at any instant, nothing is
lost. Before the mark, nothing has happened; after it, the open intent, or the mark alone, tells the next one that
takes. What bears a mark that nobody remembers is never given out again: it is recorded as taken, and ends with its
time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from nexus.executor.clock import Clock, timestamp
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.state import Intent, ResourceRecord, State, Taken, Target
from nexus.model.suggestions import did_you_mean
from nexus.model.values import Value
from nexus.planning import TAKE, as_taken, is_whole, moved
from nexus.providers.base import Certainty, Gone, ProviderError
from nexus.providers.operating import LiveSandbox, Operator
from nexus.stores import Begin, Done, Entry, Failed, Header, commit, load
from nexus.stores.fold import Folding
from nexus.workflows.loading import Project
from nexus.workflows.locking import locked
from nexus.workflows.operating import DEFAULT_TIMEOUT
from nexus.workflows.outputs import NO_LINEAGE
from nexus.workflows.session import Stores
from nexus.workflows.surveying import check_target, explained, moves_of


class PoolEmptyError(DiagnosticsError):
    """No sandbox stands ready right now; later there may be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """``lifetime`` in seconds, None for the block's own timeout. ``patience`` is how long the lock is waited for."""

    pool: Address
    lifetime: int | None = None
    purpose: str = ""
    patience: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What taking works with. ``account`` is where the sandboxes are."""

    stores: Stores
    operator: Operator
    account: Target
    clock: Clock
    ids: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenSandbox:
    """What was handed out: as E2B shows it, and as it is remembered. ``ready`` counts those that the pool has left."""

    pool: Address
    sandbox: LiveSandbox
    record: ResourceRecord
    ready: int
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def urls(self) -> Mapping[str, str]:
        """Of its ports, by name."""
        urls = self.record.outputs.get("urls")
        return {name: url for name, url in urls.items() if isinstance(url, str)} if isinstance(urls, dict) else {}


def pool_named(project: Project, text: str) -> Address:
    """The pool that a person means by ``agent`` or ``sandbox.agent``. Raises DiagnosticsError when there is none."""
    pools = {str(address): address for address in project.desired.pools}
    found = pools.get(text) or pools.get(f"sandbox.{text}")
    if found is not None:
        return found
    raise DiagnosticsError(
        error(
            "unknown-pool",
            f"The project has no pool «{text}»",
            detail=f"Its pools: {', '.join(sorted(pools))}." if pools else "None of its sandboxes says pool:.",
            hint=did_you_mean(text.removeprefix("sandbox."), [address.name for address in pools.values()])
            or "a pool is a sandbox block with pool: and a number",
        )
    )


def members(state: State, pool: Address) -> Iterator[ResourceRecord]:
    """What stands in the pool, or is to stand there once it is set up."""
    return (item for item in state.resources.values() if item.address.group == pool and item.taken is None)


async def take(project: Project, around: Around, wish: Wish) -> TakenSandbox:
    """Hand out one that stands ready. Raises PoolEmptyError when none does."""
    async with locked(around.stores, "pool take", wish.patience) as note:
        state, notes = await _begun(project, around, wish.pool)
        taking = _Taking(around, wish, state)
        try:
            handed = await taking.first_of(await _in_turn(project, around, state, wish.pool))
        except DiagnosticsError:
            await taking.end()
            raise
        late = await _ended(taking, is_handed_out=handed is not None)
    if handed is None:
        raise PoolEmptyError(_empty(project, wish.pool, taking.state))
    record, live = handed
    return TakenSandbox(
        pool=wish.pool,
        sandbox=replace(live, address=str(record.address)),
        record=record,
        ready=sum(map(is_whole, members(taking.state, wish.pool))),
        diagnostics=(*notes, *(() if note is None else (note,)), *late),
    )


async def _ended(taking: _Taking, *, is_handed_out: bool) -> tuple[Diagnostic, ...]:
    """The state is written. Where it can't be, what the journal has as handed out is so all the same."""
    try:
        await taking.end()
    except DiagnosticsError as problem:
        if not is_handed_out:
            raise
        return problem.diagnostics
    return ()


async def take_when_ready(project: Project, around: Around, wish: Wish, patience: float, pause: float) -> TakenSandbox:
    """The same, waiting ``patience`` seconds for one to be ready. Looks every ``pause`` seconds, without the lock."""
    end = around.clock.monotonic() + patience
    while True:
        try:
            return await take(project, around, wish)
        except PoolEmptyError:
            if around.clock.monotonic() >= end:
                raise
        while around.clock.monotonic() < end:
            await around.clock.sleep(min(pause, max(end - around.clock.monotonic(), 0)))
            if await _may_be_ready(project, around, wish.pool):
                break


async def _may_be_ready(project: Project, around: Around, pool: Address) -> bool:
    """Whether it is worth while to ask for the lock. Changes nothing."""
    loaded = await load(around.stores.backend, State(lineage=NO_LINEAGE))
    return any(map(is_whole, members(moved(loaded.state, moves_of(project)), pool)))


async def _begun(project: Project, around: Around, pool: Address) -> tuple[State, tuple[Diagnostic, ...]]:
    """The state, written, with a journal that continues it."""
    backend = around.stores.backend
    loaded = await load(backend, State(lineage=NO_LINEAGE))
    damage = loaded.state.verify()
    if damage:
        raise DiagnosticsError(damage)
    if not loaded.state.serial and not loaded.interrupted:
        raise PoolEmptyError(_empty(project, pool, loaded.state))
    check_target(loaded.state, around.account)
    state = moved(loaded.state, moves_of(project))
    if loaded.interrupted or state is not loaded.state:
        state = await commit(backend, state)
    await backend.journal.start(Header.of(state))
    return state, loaded.diagnostics


async def _in_turn(project: Project, around: Around, state: State, pool: Address) -> list[ResourceRecord]:
    """Whole members: first those that run, the oldest first; last those that no list has, which may have ended."""
    labels = {"nexus.project": project.name, "nexus.environment": project.environment}
    async with explained():
        listed = {item.id: item.status for item in await around.operator.list(labels)}
    ranks = {"running": 0, "paused": 1}
    in_doubt = {intent.uid for intent in state.pending if intent.verb != TAKE}
    whole = [item for item in members(state, pool) if is_whole(item) and item.uid not in in_doubt]
    return sorted(whole, key=lambda item: (ranks.get(listed.get(item.id, ""), 2), item.created_at, item.id))


@dataclass(slots=True)
class _Taking:
    """One try, member by member, until one could be had."""

    around: Around
    wish: Wish
    begun: State
    _folding: Folding = field(init=False)

    def __post_init__(self) -> None:
        self._folding = Folding(self.begun)

    @property
    def state(self) -> State:
        """With all that was done so far."""
        return self._folding.state()

    async def end(self) -> None:
        """Write the state, unless nothing has happened."""
        backend = self.around.stores.backend
        if self.state is self.begun:
            await backend.journal.clear()
            return
        await backend.lock.verify()
        await commit(backend, self.state)

    async def first_of(self, members: list[ResourceRecord]) -> tuple[ResourceRecord, LiveSandbox] | None:
        for member in members:
            handed = await self._take(member)
            if handed is not None:
                return handed
        return None

    async def _take(self, member: ResourceRecord) -> tuple[ResourceRecord, LiveSandbox] | None:
        """None where it has ended, or somebody has it already."""
        await self.around.stores.backend.lock.verify()
        own = self._left_open(member)
        key = self.around.ids()
        now = timestamp(self.around.clock.now())
        await self._note(Begin(Intent(key=key, address=member.address, verb=TAKE, uid=member.uid, started_at=now)))
        lifetime = self.wish.lifetime or _own_timeout(member)
        try:
            live = await self.around.operator.claim(member.id, lifetime, again=bool(own))
        except Gone as gone:
            await self._close((key, *own), gone)
            return None
        except ProviderError as problem:
            await self._close((key, *own), problem, unresolved=problem.certainty is Certainty.UNKNOWN)
            raise DiagnosticsError(problem.diagnostic) from problem
        place = member.address.key or ""
        if live is None:
            await self._note(Done(key=key, record=as_taken(member, Taken(place=place)), removed=member.uid))
            return None
        by = self.around.stores.holder("pool take").holder
        taken = Taken(place=place, by=by, at=now, purpose=self.wish.purpose)
        record = as_taken(_given(member, lifetime, timestamp(live.expires_at)), taken)
        await self._note(Done(key=key, record=record, removed=member.uid))
        for other in own:
            await self._note(Failed(key=other, code="interrupted", summary="The run was interrupted"))
        return record, live

    def _left_open(self, member: ResourceRecord) -> tuple[str, ...]:
        """Intents of those who were ended while they took it: nobody was told that it is his."""
        open_ = self._folding.pending(member.address)
        return tuple(intent.key for intent in open_ if intent.verb == TAKE and intent.uid == member.uid)

    async def _close(self, keys: tuple[str, ...], problem: ProviderError, *, unresolved: bool = False) -> None:
        diagnostic = problem.diagnostic
        for key in keys:
            await self._note(Failed(key=key, code=diagnostic.code, summary=diagnostic.summary, unresolved=unresolved))

    async def _note(self, entry: Entry) -> None:
        await self.around.stores.backend.journal.append(entry)
        self._folding.apply(entry)


def _given(member: ResourceRecord, lifetime: int, expires_at: str) -> ResourceRecord:
    """The member with the time that it was given, which is what it gets anew whenever it is started."""
    outputs: dict[str, Value] = {**member.outputs, "timeout": lifetime}
    return replace(
        member, attributes={**member.attributes, "timeout": lifetime}, outputs=outputs, expires_at=expires_at
    )


def _own_timeout(member: ResourceRecord) -> int:
    timeout = member.attributes.get("timeout")
    return timeout if isinstance(timeout, int) else DEFAULT_TIMEOUT


def _empty(project: Project, pool: Address, state: State) -> Diagnostic:
    size = project.desired.pools[pool].size
    there = list(members(state, pool))
    unfinished = sum(not is_whole(item) for item in there)
    taken = sum(item.address.group == pool and item.taken is not None for item in state.resources.values())
    counts = {"taken": taken, "not set up to the end": unfinished, "ended": len(there) - unfinished}
    found = "; ".join(f"{what}: {count}" for what, count in counts.items() if count)
    return error(
        "pool-empty",
        f"No sandbox of {pool} stands ready",
        detail=f"It is a pool of {size}.{f' What there is of it: {found}.' if found else ''}",
        hint="«nexus apply» fills it, and so does a controller; --wait waits for that, --create fills it at once",
        address=str(pool),
    )
