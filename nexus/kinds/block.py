"""Reading the fields of one block: defaults, findings with places, and secrets that stay secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from nexus.kinds.base import Field, Normalising
from nexus.kinds.conflicts import Conflict
from nexus.kinds.reading import InvalidValue, inside, label, spread
from nexus.model.diagnostics import DiagnosticsError, SourceRange, error, warning
from nexus.model.values import UNKNOWN, Attributes, Unknown, Value

FieldTable = Mapping[str, Field]


def table(*fields: Field) -> FieldTable:
    """Fields by name, in the order in which the documentation shows them."""
    return {field.name: field for field in fields}


@dataclass(slots=True)
class Block:
    """The fields of one block while it is normalised.

    A value that can't be read becomes a diagnostic at its field's place, and the field's default goes on in its stead,
    so that everything that is wrong with a block is found at once.
    """

    attributes: Attributes
    fields: FieldTable
    context: Normalising

    def has(self, name: str) -> bool:
        """Whether the field is written, and not as null."""
        return self.attributes.get(name) is not None

    def raw(self, name: str) -> Value:
        """The value as it came, a secret mapping or list spread out; None when it is absent."""
        return spread(self.attributes.get(name))

    def take(self, name: str, read: Callable[[Value], Value] | None = None) -> Value:
        """The field's value as ``read``, or the field's own reader, gives it; its default when it is absent."""
        value = self.raw(name)
        read = read or self.fields[name].read
        if value is None or read is None:
            return self.fields[name].default if value is None else value
        try:
            return inside(value, read)
        except InvalidValue as problem:
            self.report(name, problem)
            return self.fields[name].default

    def each(self, name: str, read: Callable[[Value], Value]) -> Value:
        """The field's list with every item read; UNKNOWN when the list itself is not known yet."""
        value = self.raw(name)
        if isinstance(value, Unknown):
            return UNKNOWN
        if value is None:
            return self.fields[name].default
        if not isinstance(value, list):
            value = [value]
        found: list[Value] = []
        for index, item in enumerate(value):
            try:
                found.append(inside(item, read))
            except InvalidValue as problem:
                self.report(f"{name}[{index}]", problem)
        return found

    def report(self, name: str, problem: InvalidValue) -> None:
        self.fail(name, problem.code, f"{name}{_inner(problem)} must be {problem}", hint=problem.hint)

    def adopt(self, name: str, problems: DiagnosticsError) -> None:
        """Takes over what was found outside, with the place of the field that asked for it."""
        self.context.diagnostics.extend(item.at(self._place(name), self._address) for item in problems.diagnostics)

    def refuse_conflicts(self, conflicts: Iterable[Conflict]) -> None:
        for conflict in conflicts:
            self.fail(conflict.field, conflict.code, conflict.summary, detail=conflict.detail, hint=conflict.hint)

    def fail(self, name: str, code: str, summary: str, *, detail: str = "", hint: str = "") -> None:
        self.context.diagnostics.add(
            error(code, summary, detail=detail, hint=hint, address=self._address, range=self._place(name))
        )

    def warn(self, name: str, code: str, summary: str, *, detail: str = "", hint: str = "") -> None:
        self.context.diagnostics.add(
            warning(code, summary, detail=detail, hint=hint, address=self._address, range=self._place(name))
        )

    @property
    def _address(self) -> str:
        return str(self.context.spec.address)

    def _place(self, name: str) -> SourceRange | None:
        return self.context.place(name.partition("[")[0])


def _inner(problem: InvalidValue) -> str:
    inner = label(problem.path)
    return inner if not inner or inner.startswith("[") else f".{inner}"
