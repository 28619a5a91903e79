"""What a kind is: one table of fields that the schema, the planner, the docs and the tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from nexus.model.changes import Effect, Verb
from nexus.model.diagnostics import Diagnostics, SourceRange
from nexus.model.lockfile import Pinning
from nexus.model.resources import ResourceSpec
from nexus.model.state import ResourceRecord, Tree
from nexus.model.values import Attributes, Fingerprint, Value

SpecT_co = TypeVar("SpecT_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a kind's block in the manifest.

    ``schema`` is the JSON Schema of its value (expressions are allowed in any string, and in place of any value, unless
    ``static``: then only what is known before apply). ``effect`` says what changing it does to a live object; a field
    about the block itself (``count``, ``lifecycle``, …) has ``meta`` set and no attribute. A ``computed`` one is an
    attribute that nexus derives, and can't be written. ``default`` is the normalised value of an absent field.
    ``folds_into`` names the attribute of a field that is only another way to write it. ``refers`` says that the outputs
    of a resource may stand where the schema has a text. ``read`` gives the normalised form of a known value, or raises
    InvalidValue, wherever that needs nothing but the value. ``caveat`` is what a plan says beside a change of the
    field: what such a change leaves as it was.
    """

    name: str
    schema: Mapping[str, object]
    description: str
    effect: Effect = Effect.NONE
    required: bool = False
    static: bool = False
    meta: bool = False
    computed: bool = False
    folds_into: str = ""
    caveat: str = ""
    refers: bool = False
    read: Callable[[Value], Value] | None = None
    default: Value = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One piece of work inside an object that exists: what the record's ``setup`` remembers by ``name``.

    ``digest`` changes when the work has to be done (again); it is None while it depends on something unknown. ``field``
    is the attribute it comes from. A unit with ``rerun_after`` is done again whenever one of those units is.
    """

    name: str
    verb: Verb
    field: str
    digest: str | None
    rerun_after: tuple[str, ...] = ()
    note: str = ""


class SourceFiles(Protocol):
    """Files of the project, as expressions and uploads may read them; the only I/O that pure rooms are handed."""

    def text(self, path: str) -> str:
        """Content of a UTF-8 file. Raises DiagnosticsError when it is missing, outside the project, or not text."""

    def tree(self, source: str, exclude: Sequence[str], *, mode: int | None = None) -> tuple[str, Tree]:
        """Digest and files of an upload's source (a file or a folder). Raises DiagnosticsError likewise.

        ``mode`` stands for the modes that the files have on disk.
        """

    def inline(self, content: str | bytes, mode: int, *, sensitive: bool = False) -> tuple[str, Tree]:
        """Digest and tree of a single file with this content; remembers the content for the apply.

        The digests of ``sensitive`` content are keyed: they can't be used to guess it.
        """

    def content(self, digest: str, path: str) -> Iterator[bytes]:
        """Content of one file of a tree met before, in pieces, read now.

        Raises DiagnosticsError, after the last piece if not before, when the file changed since.
        """


def _forgetful(_value: Value) -> Fingerprint:
    return Fingerprint("")


@dataclass(slots=True, kw_only=True)
class Normalising:
    """What normalising a block may use, and where its findings go.

    ``fingerprint`` is the state's: with it, a rotated secret in a template's build inputs gives the build another
    reference. The default tells nothing of a secret, and so does not notice that one changed. ``lock`` is the project's
    lock file, where it has one. ``longest_life`` bounds how long sandboxes live, in seconds.
    """

    spec: ResourceSpec
    files: SourceFiles
    project: str
    environment: str
    diagnostics: Diagnostics
    trees: dict[str, Tree] = field(default_factory=dict)
    fingerprint: Callable[[Value], Fingerprint] = _forgetful
    lock: Pinning | None = None
    longest_life: int | None = None

    def place(self, name: str) -> SourceRange | None:
        return self.spec.field_sources.get(name, self.spec.source)


class Kind(Protocol[SpecT_co]):
    """One kind of resource. Pure: it decides what things mean and never calls anything."""

    @property
    def name(self) -> str:
        """The word in addresses: ``sandbox``."""

    @property
    def section(self) -> str:
        """The key in the manifest: ``sandboxes``."""

    @property
    def fields(self) -> tuple[Field, ...]: ...

    def normalise(self, attributes: Attributes, context: Normalising) -> Attributes:
        """One form for equal meanings: durations in seconds, memory in MiB, packages by manager, defaults filled in.

        Values may hold UNKNOWN and Sensitive. Findings go to ``context.diagnostics``.
        """

    def units(self, attributes: Attributes) -> tuple[Unit, ...]:
        """Setup units of a (concealed) normalised block, in the order in which they are done."""

    def outputs(self, attributes: Attributes, record: ResourceRecord | None) -> Attributes:
        """What expressions see of it. Without a ``record`` it will be new, and what E2B decides is UNKNOWN."""

    def decode(self, attributes: Attributes) -> SpecT_co:
        """The typed spec of wholly known, revealed, normalised attributes."""
