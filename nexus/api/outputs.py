"""Outputs as a program wants them: plain values, and of the type that it counts on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.state import OutputRecord, State
from nexus.model.values import Fingerprint, Sensitive, Unknown, Value
from nexus.workflows.outputs import output_of

T = TypeVar("T")

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What an output may hold."""


def plain_outputs(outputs: Mapping[str, OutputRecord]) -> dict[str, Json]:
    """Sensitive ones are None: nexus keeps no value of them."""
    return {name: None if item.sensitive else plain(item.value) for name, item in outputs.items()}


def typed_output(state: State, name: str, expected: type[T]) -> T:
    """The value of one output. Raises DiagnosticsError when there is no such one, or it is of another type."""
    record = output_of(state, name)
    value = None if record.sensitive else plain(record.value)
    number = expected is float and isinstance(value, int) and not isinstance(value, bool)
    candidate: object = float(value) if number and isinstance(value, int) else value
    if isinstance(candidate, expected) and not (expected is int and isinstance(candidate, bool)):
        return candidate
    found = "sensitive, so that nexus keeps no value of it" if record.sensitive else f"{type(value).__name__}"
    raise DiagnosticsError(
        error(
            "output-type",
            f"The output «{name}» is not of the type that was asked for",
            detail=f"It was asked for as {expected.__name__}, and is {found}.",
        )
    )


def plain(value: Value) -> Json:
    """What is stored of an output is plain already, but for secrets deep inside: they are None."""
    match value:
        case Sensitive() | Fingerprint() | Unknown():
            return None
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case _:
            return value
