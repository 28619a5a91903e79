"""The seam between the executor and the live objects.

The executor decides when a call is made, how often it is tried, and what is journalled. A provider only makes it, and
says truthfully what is known of its outcome. Nothing above this room knows what is behind the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from nexus.kinds.base import SourceFiles, Unit
from nexus.model.addresses import Address
from nexus.model.changes import Operation
from nexus.model.diagnostics import Diagnostic
from nexus.model.lockfile import Closure, Requirements
from nexus.model.observation import Observation, Observed
from nexus.model.state import Intent, ResourceRecord, State, Target, Tree
from nexus.model.values import Attributes
from nexus.providers.operating import Usage
from nexus.providers.reporting import Report

LEASE_SECONDS: Final = 120
"""How long a new sandbox lives until it is given its real time: what was never recorded ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Call:
    """One effect, with everything that is needed to make it. Never printed: ``spec`` holds revealed secrets.

    ``key`` is unique for the effect and the same in every repetition of it: the Idempotency-Key and the ``nexus.op`` of
    a create. ``uid`` names the incarnation meant: a new one in a create, else that of ``record``. ``spec`` is what
    ``kind.decode`` made of the revealed attributes; None where the operation needs none (deletes). ``attributes`` is
    the normalised, concealed form of the same, and the only one that may be recorded. ``units`` are the wanted setup
    units; a unit operation whose name is not among them undoes what was done. ``record`` is what is known of the
    object now. ``upstream`` answers for any other address (the sandbox of a step, volumes, templates); None when it is
    not there. ``trees`` are those that ``attributes`` name, ``prior_trees`` those of everything recorded. ``lineage``
    is the state's, which keys the digests of secrets.
    """

    operation: Operation
    key: str
    uid: str
    project: str
    environment: str
    report: Report
    files: SourceFiles
    upstream: Callable[[Address], ResourceRecord | None]
    spec: object = None
    attributes: Attributes = field(default_factory=dict)
    units: tuple[Unit, ...] = ()
    record: ResourceRecord | None = None
    trees: Mapping[str, Tree] = field(default_factory=dict)
    prior_trees: Mapping[str, Tree] = field(default_factory=dict)
    lineage: str = ""

    @property
    def address(self) -> Address:
        return self.operation.address

    @property
    def unit(self) -> Unit | None:
        """The wanted unit that the operation does; None when it is about another thing, or undoes a unit."""
        return next((unit for unit in self.units if unit.name == self.operation.unit), None)

    @property
    def outdated(self) -> frozenset[str]:
        """The units that have to be done again once the operation's unit was: nothing may count them as done."""
        return frozenset(unit.name for unit in self.units if self.operation.unit in unit.rerun_after)

    def __repr__(self) -> str:
        return f"Call({self.operation}, key={self.key})"


@dataclass(frozen=True, slots=True)
class Result:
    """What a call left behind. ``record`` is None when nothing is left (deletes), else the whole new record, best
    made with :func:`nexus.providers.recording.record_after`. ``unchanged``: it turned out that nothing had to be done.
    ``note`` tells a person what stays behind, such as the id of a snapshot.
    """

    record: ResourceRecord | None
    unchanged: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A live object that an interrupted create has made.

    ``outputs`` as in records; times are RFC 3339 in UTC. ``complete`` is False for what can't be gone on with (a build
    that never finished): then the create is simply made again.
    """

    id: str
    outputs: Attributes
    created_at: str = ""
    expires_at: str | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A live object of a project, and what it says of itself: enough to remember it again when the state is lost.

    ``key`` is that of the create that made it, ``spec`` the digest of what can't change about it
    (:meth:`Provider.spec_digest`). ``setup`` maps finished units of work to the digests of what was done;
    ``looked_inside`` is False where nobody could be asked, as in a paused sandbox. ``facts`` are fields that can be
    read. Times are RFC 3339 in UTC; ``lifetime`` is how many seconds it got in all so far. ``is_copy``
    says that its inside is that of another sandbox, whose marks it bears, too (a fork); None where it does not tell.
    ``is_taken``: it was taken from a pool.
    """

    address: Address
    id: str
    uid: str = ""
    key: str = ""
    lineage: str = ""
    spec: str = ""
    is_copy: bool | None = None
    is_taken: bool = False
    setup: Mapping[str, str] = field(default_factory=dict)
    looked_inside: bool = True
    running: bool = True
    created_at: str = ""
    expires_at: str | None = None
    lifetime: int = 0
    facts: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inventory:
    """``live`` objects of one environment of a project, oldest first. ``unclaimed`` are names in the account that look
    like the project's, and that no address claims.
    """

    live: tuple[Live, ...] = ()
    unclaimed: tuple[str, ...] = ()


class Certainty(StrEnum):
    """What is known of a call that failed."""

    NOT_DONE = "not-done"  # it had no effect, and may work when it is made again (429, 503, connection refused)
    UNKNOWN = "unknown"  # it may have had its effect (a lost response, a timeout, a 5xx)
    PERMANENT = "permanent"  # it had no effect, or the one that ``record`` tells, and would fail again


class ProviderError(Exception):
    """A call that failed. ``retry_after`` (seconds) is the server's own wish.

    ``record`` tells what is out there nevertheless, such as a step that ran and failed; it is taken into the state.
    ``field`` is the one of the block that asks for what failed, as in ``run_commands[1]``, where that is known.
    The diagnostic MUST NOT hold revealed secrets.
    """

    def __init__(
        self,
        diagnostic: Diagnostic,
        certainty: Certainty,
        *,
        retry_after: float | None = None,
        record: ResourceRecord | None = None,
        field: str = "",
    ) -> None:
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic
        self.certainty = certainty
        self.retry_after = retry_after
        self.record = record
        self.field = field


class Gone(ProviderError):  # noqa: N818 - the name says what is the case, not that it is an error
    """The object that the call is about does not exist any more. Nothing was done; its record is to be forgotten."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic, Certainty.PERMANENT)


class LimitReached(ProviderError):  # noqa: N818 - likewise
    """The account has as many objects as it may have: trying again can't help until some are gone."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic, Certainty.PERMANENT)


class TooFast(ProviderError):  # noqa: N818 - likewise
    """The account makes requests faster than it may. Nothing was done; ``retry_after`` seconds later it may be."""

    def __init__(self, diagnostic: Diagnostic, *, retry_after: float | None = None) -> None:
        super().__init__(diagnostic, Certainty.NOT_DONE, retry_after=retry_after)


class Provider(Protocol):
    """Everything nexus asks of the world outside. One instance serves one run and many calls at the same time.

    Calls about different objects overlap; those about one address never do. Cancelling a call MUST leave nothing
    running in this process; what it did out there is then unknown.
    """

    async def identity(self) -> Target:
        """What we talk to, as far as it can be told. Raises ProviderError when it can't be reached or refuses us."""

    async def observe(self, state: State, catalogue: Mapping[Address, str], *, count_all: bool = False) -> Observation:
        """Look once at everything in ``state`` (current and deposed records) and at the catalogue templates.

        ``catalogue`` maps addresses to references (``name:tag``). ``count_all`` counts the account's running sandboxes
        too, those of others among them. MUST take one list call per hundred sandboxes, not
        one per sandbox, and confirm an absence by a GET. What can't be read is UNKNOWN with a diagnostic, never GONE.
        Raises ProviderError when nothing can be known (wrong key, no connection). Changes nothing.
        """

    async def look_inside(self, state: State, observation: Observation) -> Observation:
        """The observation with what a look into every running sandbox tells: the fact ``setup`` maps the units that are
        still as they were done to their digests, ``findings`` the others to sentences. A few requests for each sandbox.

        One that does not answer is left as it was seen, with a diagnostic. Changes nothing that was declared.
        """

    async def measure(self, ids: Sequence[str]) -> Mapping[str, Usage]:
        """The newest measurement of each of these sandboxes that runs. One request for every hundred."""

    async def inventory(
        self, project: str, environment: str, named: Mapping[Address, str], adopted: Mapping[Address, str]
    ) -> Inventory:
        """Everything that is out there of one environment of a project, without knowing of any state.

        Sandboxes are found by their marks: one list call per hundred, and one look into each that runs. ``named`` are
        the names of templates and volumes, ``adopted`` the ids of sandboxes that were imported: they have no marks.
        Changes nothing.
        """

    def spec_digest(self, attributes: Attributes) -> str:
        """What :attr:`Live.spec` is for a sandbox with these concealed attributes."""

    async def resolve(self, sandbox: ResourceRecord, requirements: Requirements) -> Mapping[str, Closure]:
        """What packages come to, by manager, in a running sandbox that has nothing but its template. Installs nothing.

        Raises ProviderError where a manager is not there, or can't resolve what is asked for.
        """

    async def build_ids(self, templates: Sequence[str]) -> Mapping[str, str]:
        """The builds that these names of templates (``name:tag``) mean now; those that can't be told are left out."""

    async def outputs_of(self, record: ResourceRecord) -> Attributes:
        """The outputs of a live object with this record's id and attributes."""

    async def examine(self, wanted: Mapping[Address, str]) -> Mapping[Address, Observed]:
        """Live sandboxes by id that nexus may not have made, as far as they can be read. Changes nothing.

        Facts: ``templates`` (names that mean its template), ``timeout`` (seconds it got in all), ``owner`` and ``uid``
        ("" for nobody's), ``is_copy`` (see :class:`Live`), and what only a new sandbox could have otherwise.
        """

    async def find(self, state: State, intents: Sequence[Intent]) -> Mapping[str, tuple[Found, ...]]:
        """The live objects that these creates have made, by key, oldest first; empty where none is seen (yet).

        Sandboxes are found by ``nexus.op``, templates and volumes by the name that the address gives them. ``state``
        says which project and environment. MUST NOT answer with an object that is not marked as ours.
        """

    async def execute(self, call: Call) -> Result:
        """Make one effect. Raises ProviderError, and nothing else but CancelledError, when it fails.

        RECORD changes nothing out there: the answer is the record with everything taken in that needs no work.
        MUST send ``call.key`` with every create and mark what it makes with project, environment, address, uid and key.
        MUST answer a create with the object that exists, where one with this key does. A delete of what is gone
        succeeds; one with the unit ``pause`` or ``snapshot`` leaves the sandbox paused, or a snapshot of it, and may be
        made again until it has succeeded. MUST NOT try again what the executor is asked to (its own transport may
        reconnect); MUST NOT keep anything between calls that a later call needs; MUST NOT record anything but
        ``call.attributes``.
        """

    async def discard(self, intent: Intent, found: Found) -> None:
        """Remove a surplus object of ``intent``. Succeeds when it is gone already."""

    async def aclose(self) -> None:
        """Give up connections. Safe to call twice."""
