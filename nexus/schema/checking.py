"""Checks a manifest against the sections' tables: every finding with the place of its key or value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from nexus.kinds.base import Field, Kind
from nexus.kinds.conflicts import conflicts
from nexus.kinds.reading import InvalidValue, label, shown
from nexus.kinds.registry import KINDS
from nexus.manifest import Manifest, check_variables
from nexus.model.addresses import NAME, Address, AddressError, circular_moves
from nexus.model.diagnostics import Diagnostics, SourceRange, error
from nexus.model.values import Value
from nexus.schema.findings import Finding, Path
from nexus.schema.head import API_VERSION, HEAD
from nexus.schema.sections import SECTIONS, Section
from nexus.schema.state_place import check_state_place
from nexus.schema.suggestions import did_you_mean
from nexus.schema.walking import EXPRESSION, Walk

_NAME: Final = re.compile(NAME)
_NAMED_IN_ACCOUNT: Final = ("templates", "volumes")
"""Sections whose blocks E2B knows by a name only."""


def check(manifest: Manifest) -> Diagnostics:
    """What is wrong with a manifest, as far as one can tell without evaluating its expressions.

    What reading it found already is in its own diagnostics, and not repeated.
    """
    if not manifest.values and manifest.diagnostics:
        return Diagnostics()
    checking = _Checking(manifest)
    checking.head()
    for name, section in SECTIONS.items():
        if name in manifest.values:
            checking.section(section, manifest.values[name])
    checking.diagnostics.extend(check_variables(manifest))
    return Diagnostics(list(checking.diagnostics.sorted()))


def check_value(field: Field, value: Value) -> str | None:
    """What is wrong with a field's value once its expressions are evaluated, or None.

    UNKNOWN fits everywhere, and outputs of resources fit where the field refers to some. Nothing of a secret is told.
    """
    if value is None:
        return None
    walk = Walk(expressions=False, refers=field.refers)
    walk.check(field.schema, value, (field.name,))
    return walk.findings[0].message if walk.findings else None


class _Checking:
    """The check of one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self.diagnostics = Diagnostics()
        self._values = manifest.values
        self._places = manifest.places
        self._bad: set[Path] = set()

    def head(self) -> None:
        """All that is not in a section: the version, the name, and keys that nobody knows."""
        known = (*HEAD, *SECTIONS)
        for key in self._values:
            if key not in known and not key.startswith("x-"):
                self._unknown_section(key, known)
        for required in ("apiVersion", "project"):
            if required not in self._values:
                self._missing(required)
        for name, schema in HEAD.items():
            if name in self._values:
                self._walk(Walk(expressions=name == "import"), schema, self._values[name], (name,))
        moved = self._values.get("moved")
        if isinstance(moved, dict):
            self._addresses(moved)
        state = self._values.get("state")
        if isinstance(state, dict) and ("state",) not in self._bad:
            self.diagnostics.extend(check_state_place(state, self._places.key(("state",))))
        self._listed_addresses("removed", "from")
        self._listed_addresses("import", "to")

    def section(self, section: Section, blocks: Value) -> None:
        """One section of named blocks."""
        if blocks is None:
            return
        path: Path = (section.name,)
        if not isinstance(blocks, dict):
            message = f"{section.name} must be a mapping of names, not {shown(blocks)}"
            hint = f"give each a name, as in {section.name}: {{my-name: …}}"
            self._report(Finding(code="wrong-type", path=path, message=message, hint=hint))
            return
        self._names(blocks, path)
        if section.name in _NAMED_IN_ACCOUNT:
            self._one_case(blocks, path)
        for name, block in blocks.items():
            if block is None and section.optional:
                continue
            walk = Walk(expressions=section.expressions, depth=2, discreet=section.name == "secrets")
            self._walk(walk, section.schema, block, (*path, name))
            if isinstance(block, dict) and section.kind is not None:
                self._resources(section.kind, name, block, (*path, name))

    def _resources(self, kind: Kind[object], name: str, block: dict[str, Value], path: Path) -> None:
        """The parts of a section's block that are resources: the block itself, or a pipeline's steps."""
        if kind.name != "step":
            self._resource(kind, Address(kind.name, name), block, path)
            return
        steps = block.get("steps")
        for step, fields in (steps if isinstance(steps, dict) else {}).items():
            if isinstance(fields, dict):
                self._resource(kind, Address("step", f"{name}.{step}"), fields, (*path, "steps", step))

    def _resource(self, kind: Kind[object], address: Address, block: dict[str, Value], path: Path) -> None:
        """What a schema can't say: values that have to make sense, and fields that have to go together."""
        readers = _readers(kind.name)
        for name, value in block.items():
            read = readers.get(name)
            if read is not None and value is not None and (*path, name) not in self._bad and not _has_expression(value):
                try:
                    read(value)
                except InvalidValue as problem:
                    inner: Path = (name, *problem.path)
                    message = f"{label(inner)} must be {problem}"
                    self._report(
                        Finding(code=problem.code, path=(*path, *inner), message=message, hint=problem.hint), address
                    )
        for conflict in conflicts(kind.name, block):
            where = (*path, conflict.field) if conflict.field in block else path
            self.diagnostics.add(
                error(
                    conflict.code,
                    conflict.summary,
                    detail=conflict.detail,
                    hint=conflict.hint,
                    address=str(address),
                    range=self._places.key(where),
                )
            )

    def _names(self, blocks: Mapping[str, Value], path: Path) -> None:
        for name in blocks:
            if not _NAME.fullmatch(name):
                message = f"The name {shown(name)} must be made of letters, digits, _ and -, with a letter or _ first"
                self._report(Finding(code="invalid-name", path=(*path, name), message=message, at_key=True))

    def _one_case(self, blocks: Mapping[str, Value], path: Path) -> None:
        seen: dict[str, str] = {}
        for name in blocks:
            first = seen.setdefault(name.lower(), name)
            if first != name:
                message = f"{name} and {first} would have the same name in E2B's account, which knows only lower case"
                self._report(Finding(code="duplicate-name", path=(*path, name), message=message, at_key=True))

    def _addresses(self, moved: Mapping[str, Value]) -> None:
        parsed: dict[str, Address] = {}
        for old, new in moved.items():
            for text, at_key in ((old, True), (new, False)):
                try:
                    parsed[str(text)] = Address.parse(str(text))
                except AddressError as problem:
                    message = str(problem)
                    self._report(Finding(code="invalid-value", path=("moved", old), message=message, at_key=at_key))
        moves = {parsed[old]: parsed[str(new)] for old, new in moved.items() if {old, str(new)} <= parsed.keys()}
        circular = set(circular_moves(moves))
        for old in moved:
            if parsed.get(old) in circular:
                message = f"{old} would move at every apply: it leads back to itself"
                hint = "«nexus state mv» swaps two, by way of a third name"
                self._report(
                    Finding(code="invalid-value", path=("moved", old), message=message, hint=hint, at_key=True)
                )

    def _listed_addresses(self, section: str, field: str) -> None:
        items = self._values.get(section)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            text = item.get(field) if isinstance(item, dict) else None
            if not isinstance(text, str):
                continue
            try:
                Address.parse(text)
            except AddressError as problem:
                self._report(Finding(code="invalid-value", path=(section, index, field), message=str(problem)))

    def _unknown_section(self, key: str, known: tuple[str, ...]) -> None:
        hint = did_you_mean(key, known) or "keys of your own begin with x-"
        message = f"There is no section {key}"
        self._report(Finding(code="unknown-field", path=(key,), message=message, hint=hint, at_key=True))

    def _missing(self, required: str) -> None:
        example = f"apiVersion: {API_VERSION}" if required == "apiVersion" else "project: my-project"
        self._report(
            Finding(code="missing-field", path=(required,), message=f"{required} is missing", hint=f"add {example}")
        )

    def _walk(self, walk: Walk, schema: Mapping[str, object], value: Value, path: Path) -> None:
        walk.check(schema, value, path)
        for finding in walk.findings:
            self._bad.update(finding.path[:length] for length in range(1, len(finding.path) + 1))
            self._report(finding, _address(path))

    def _report(self, finding: Finding, address: Address | None = None) -> None:
        self.diagnostics.add(
            error(
                finding.code,
                finding.message,
                hint=finding.hint,
                address="" if address is None else str(address),
                range=self._place(finding),
            )
        )

    def _place(self, finding: Finding) -> SourceRange | None:
        key = self._places.key(finding.path) if finding.at_key else None
        # Of a mapping or list that is wrong as a whole, the start of the value says more than its key.
        return key or self._places.value(finding.path) or self._places.nearest(finding.path)


def _address(path: Path) -> Address | None:
    """The resource whose block stands at ``path``, where it is one's."""
    section = SECTIONS.get(str(path[0]))
    if section is None or section.kind is None or section.kind.name == "step":
        return None
    return Address(section.kind.name, str(path[1]))


@cache
def _readers(kind: str) -> Mapping[str, Callable[[Value], Value]]:
    return {field.name: field.read for field in KINDS[kind].fields if field.read is not None}


def _has_expression(value: Value) -> bool:
    match value:
        case str():
            return EXPRESSION in value
        case dict():
            return any(_has_expression(item) for item in value.values())
        case list():
            return any(_has_expression(item) for item in value)
        case _:
            return False
