"""State: what nexus made and remembers of it. A cache of what the live objects say, and never the home of a secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, error
from nexus.model.resources import OnDestroy
from nexus.model.values import Attributes, Value, digest

STATE_VERSION: Final = 1

KEPT_HISTORY: Final = 100
"""Entries of the history that a state keeps; the oldest go."""

LOST: Final = "lost"
"""Stands in ``setup`` for the digest of a unit that was done, and was found undone or altered since."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of an upload: ``digest`` is the sha256 of its content (a keyed one when the content is sensitive)."""

    digest: str
    mode: int
    size: int


Tree = Mapping[str, FileEntry]
"""Files of one upload by path relative to its destination; a single file has the path "" (the destination itself)."""


def tree_digest(tree: Tree) -> str:
    """Digest of all paths, modes and contents: equal trees, and only those, share it."""
    return digest([[path, entry.digest, entry.mode] for path, entry in sorted(tree.items())], length=32)


@dataclass(frozen=True, slots=True)
class Target:
    """Where resources live: ``kind`` is ``local`` or ``e2b``.

    ``account`` is the local engine's identity, or the account where the API tells it. ``access`` is a digest of what
    was used to get in: it is no part of the identity, because keys are exchanged, but another one is a reason to look
    twice.
    """

    kind: str
    account: str = ""
    access: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.kind} ({self.account})" if self.account else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """That a sandbox was taken from a pool. ``place`` is the key that it had there, ``by`` user@host.

    ``at`` is RFC 3339 in UTC, ``purpose`` what was said of it. All but the place are "" where nobody remembers it.
    """

    place: str
    by: str = ""
    at: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRecord:
    """What is remembered of one live object.

    ``id`` is E2B's, ``uid`` ours: it is new for every incarnation and travels in the object's metadata. ``attributes``
    is the normalised, concealed form of what was applied so far; ``outputs`` what expressions may ask for.
    ``setup`` maps each finished unit of work inside a sandbox to the digest of what was done. ``depends_on`` is needed
    to destroy in the right order once the manifest is gone; ``protected`` and ``on_destroy`` so that they hold then,
    too. ``taken`` is what was taken from a pool: it has an address of its own from then on. Times are RFC 3339 in UTC.
    """

    address: Address
    id: str
    uid: str
    attributes: Attributes = field(default_factory=dict)
    outputs: Attributes = field(default_factory=dict)
    setup: Mapping[str, str] = field(default_factory=dict)
    depends_on: tuple[Address, ...] = ()
    protected: bool = False
    on_destroy: OnDestroy = OnDestroy.KILL
    created_at: str = ""
    expires_at: str | None = None
    taken: Taken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An effect that was about to be made. Open ones are resolved by the next run.

    ``key`` is unique for the effect: it is the Idempotency-Key and the ``nexus.op`` metadata of a create. ``body`` is a
    digest of what would be sent, so that a repeat is known to be the same. ``draft`` is the record that a create would
    leave behind, still without an id: an object found later is adopted with it.
    """

    key: str
    address: Address
    verb: str
    unit: str = ""
    uid: str = ""
    body: str = ""
    started_at: str = ""
    draft: ResourceRecord | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """Which files were applied. ``id`` is Git's, "" where they are in no repository or in no commit of it.

    ``title`` is the first line of its message; ``modified``: files of the project differed from it.
    """

    id: str = ""
    title: str = ""
    modified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change of the state by an apply, a destroy, or a run of a pipeline. ``serial`` is that of the state after it.

    ``command`` is what was asked for: apply, destroy, run, promote, or rollback with the name of the revision.
    ``at`` is RFC 3339 in UTC, ``holder`` user@host. ``changes`` counts what was done, by action. ``complete``: all that
    was planned was done.
    """

    serial: int
    command: str
    at: str
    holder: str
    changes: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True
    commit: Commit = Commit()


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """A project output as of the last apply; a sensitive one keeps no value."""

    value: Value
    sensitive: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything remembered of one environment of one project.

    ``deposed`` are old incarnations whose replacement exists already and that are still to be deleted. ``trees`` holds
    upload trees by digest, shared by all records. ``pending`` are intents whose outcome is not known yet. ``history``
    says how it came about, the oldest first, as far as that is kept.
    """

    lineage: str
    serial: int = 0
    project: str = ""
    environment: str = "default"
    target: Target | None = None
    resources: Mapping[Address, ResourceRecord] = field(default_factory=dict)
    deposed: tuple[ResourceRecord, ...] = ()
    trees: Mapping[str, Tree] = field(default_factory=dict)
    pending: tuple[Intent, ...] = ()
    outputs: Mapping[str, OutputRecord] = field(default_factory=dict)
    history: tuple[HistoryEntry, ...] = ()
    version: int = STATE_VERSION

    @property
    def is_empty(self) -> bool:
        return not self.resources and not self.deposed and not self.pending

    def after(self, entry: HistoryEntry) -> State:
        """The same with one more entry of its history."""
        return replace(self, history=(*self.history, entry)[-KEPT_HISTORY:])

    def with_records(self, records: Iterable[ResourceRecord]) -> State:
        merged = dict(self.resources)
        merged.update((record.address, record) for record in records)
        return replace(self, resources=merged)

    def verify(self) -> tuple[Diagnostic, ...]:
        """What is wrong with this state; nexus refuses to operate on a bad one but never refuses to write it."""
        found: list[Diagnostic] = []
        seen: dict[str, Address] = {}
        for address, record in self.resources.items():
            if address != record.address:
                found.append(_bad(f"the record under {address} names itself {record.address}", address))
            if record.uid in seen:
                found.append(_bad(f"{address} and {seen[record.uid]} share the uid {record.uid}", address))
            seen[record.uid] = address
        for record in self.deposed:
            if record.uid in seen:
                found.append(_bad(f"{record.address} is current and deposed at once", record.address))
        return tuple(found)


def _bad(detail: str, address: Address) -> Diagnostic:
    return error(
        "state-inconsistent",
        "The state contradicts itself",
        detail=f"{detail[0].upper()}{detail[1:]}.",
        hint="restore .nexus/ from its backup file, or run «nexus state rebuild»",
        address=str(address),
    )
