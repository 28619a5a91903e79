"""What every store offers. Workflows and the executor see these protocols and never what is behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nexus.model.runs import Run, RunEntry, RunHead, RunSummary
from nexus.model.state import State, Target
from nexus.stores.durations import Durations
from nexus.stores.entries import Entry


class StateStore(Protocol):
    """Keeps one state: that of one environment of one project. Every method raises DiagnosticsError when it can't."""

    async def read(self) -> State | None:
        """The state as last written; None when there is none yet. Changes nothing, needs no lock."""

    async def write(self, state: State, expected_serial: int | None) -> None:
        """Keep ``state`` in place of what is there, whole or not at all, and for good once this returns.

        MUST refuse when what is there has another lineage, or another serial than ``expected_serial`` (0: nothing is
        there); None takes the place of anything, damaged or foreign. MUST NOT judge the content: the record is what a
        recovery needs.
        """

    async def fence(self) -> None:
        """Called by who has just taken the lock: what earlier holders write from now on MUST fail (``lock-lost``).

        Also where one of them has made sure of its lock just before, and only its write is late.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a journal continues: the state with this lineage and serial. A state of serial 0 was never written."""

    lineage: str
    serial: int
    project: str = ""
    environment: str = "default"
    target: Target | None = None

    @classmethod
    def of(cls, state: State) -> Header:
        return cls(
            lineage=state.lineage,
            serial=state.serial,
            project=state.project,
            environment=state.environment,
            target=state.target,
        )


@dataclass(frozen=True, slots=True)
class JournalContents:
    """A journal as found. ``torn``: it ended within an entry that nobody was told to be safe; that one is left out."""

    header: Header
    entries: tuple[Entry, ...] = ()
    torn: bool = False


class Journal(Protocol):
    """What was about to be done, and was done, since the state was written. Every method may raise DiagnosticsError."""

    async def read(self) -> JournalContents | None:
        """Everything kept; None when there is no journal. Changes nothing, needs no lock."""

    async def start(self, header: Header) -> None:
        """Begin a new journal. MUST refuse while entries are kept that ``header``'s state does not hold yet."""

    async def append(self, entry: Entry) -> None:
        """Keep one more entry. Returns only once it is safe; entries are safe in the order of the calls.

        After a failure nothing more is kept until the next start.
        """

    async def clear(self) -> None:
        """Forget everything, because the state holds it. Does nothing when there is no journal.

        MUST leave alone what a later holder of the lock has fenced.
        """

    async def set_aside(self) -> str | None:
        """Make room for a new one without reading it, and keep it for people; where, None when there is none."""

    async def fence(self) -> None:
        """Called by who has just taken the lock: what earlier holders begin or append from now on MUST fail."""


@dataclass(frozen=True, slots=True)
class StateVersion:
    """A state that was replaced since."""

    serial: int
    lineage: str


class VersionStore(Protocol):
    """The states before the one there is, as far as they are kept: how many is the store's affair."""

    async def list(self) -> Sequence[StateVersion]:
        """Those that are kept, the newest first."""

    async def read(self, version: StateVersion) -> State | None:
        """One of them; None where it is not kept. Raises DiagnosticsError when it can't be read."""

    async def clear(self) -> None:
        """Keep none of them any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockInfo:
    """Who holds a lock. ``holder`` is user@host, ``since`` RFC 3339 in UTC, ``operation`` a word such as apply.

    ``id`` names this one holding of it.
    """

    holder: str
    pid: int
    operation: str
    since: str
    id: str = ""


class Lock(Protocol):
    """Keeps a second run away from the same state. Reading needs no lock."""

    async def acquire(self, info: LockInfo, patience: float = 0.0) -> LockInfo | None:
        """Take the lock, waiting for at most ``patience`` seconds; the holder that it was taken from, if any.

        It is taken from a holder that has given no sign of life for a lease. Raises DiagnosticsError that names the
        holder and since when, when another one holds it.
        """

    async def verify(self) -> None:
        """Raises DiagnosticsError (``lock-lost``) when the lock is not held any more: it was broken, or taken over.

        Cheap: it is asked before every effect.
        """

    async def release(self) -> None:
        """Give it back. Does nothing when it is not held. A process that dies gives back what it held."""

    async def holder(self) -> LockInfo | None:
        """Who holds it now; None when nobody does. Changes nothing."""

    async def break_open(self, lock_id: str | None) -> LockInfo | None:
        """Take the lock from whoever holds it, for nobody; that holder, None when nobody did.

        Raises DiagnosticsError when the holding is not the one called ``lock_id``; None breaks any.
        """


class DurationStore(Protocol):
    """Keeps what operations took. Nothing depends on it but estimates: what can't be read is as if it was not there."""

    async def read(self) -> Durations: ...

    async def write(self, durations: Durations) -> None:
        """Raises DiagnosticsError when they can't be kept."""


class RunLog(Protocol):
    """Takes down one run while it goes on. Nothing here waits for the disk, and what was noted outlives this process.

    Every method raises DiagnosticsError when it can't.
    """

    def note(self, entry: RunEntry) -> None:
        """An operation as it starts, the same again as it ends, or the end of the run."""

    def write(self, operation_id: str, text: str) -> None:
        """One line that an operation wrote. Of very much only the beginning and the end are kept.

        MUST hold no secret.
        """

    def close(self) -> None:
        """Nothing more comes. Safe to call twice."""


class RunStore(Protocol):
    """Keeps the records of a bounded number of runs, the oldest go. Nothing is ever decided by what they say."""

    async def begin(self, head: RunHead) -> RunLog:
        """Raises DiagnosticsError when the run can't be recorded."""

    async def list(self) -> Sequence[RunSummary]:
        """What is kept, newest first. What can't be read is left out."""

    async def read(self, run_id: str) -> Run | None:
        """One run; None where there is no such one, or it can't be read."""

    async def log(self, run_id: str, operation_id: str) -> str:
        """What an operation of a run wrote, as far as it is kept."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The stores of one environment. The first three belong together: a journal continues one state.

    ``durations`` are those of the whole project; ``runs`` tell what was done when. Both are of this machine alone.
    """

    states: StateStore
    journal: Journal
    lock: Lock
    durations: DurationStore
    runs: RunStore
    versions: VersionStore
