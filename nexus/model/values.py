"""Values: plain JSON, what is not known yet, and what must not be seen."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias


class Unknown:
    """The type of UNKNOWN: a value that only exists after apply. It has one instance and equals nothing but itself."""

    __slots__ = ()
    _instance: Unknown | None = None

    def __new__(cls) -> Unknown:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True, repr=False)
class Sensitive:
    """A value that depends on a secret. Printing, formatting or logging it never shows what it holds."""

    value: Value

    def __repr__(self) -> str:
        return "(sensitive)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "(sensitive)"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What state keeps of a sensitive value: a keyed digest, good for «has it changed?» and nothing else."""

    digest: str


Scalar: TypeAlias = bool | int | float | str | None
Value: TypeAlias = "Scalar | list[Value] | dict[str, Value] | Unknown | Sensitive | Fingerprint"
"""Treat lists and dicts as frozen: a stage returns new ones."""


def is_wholly_known(value: Value) -> bool:
    """Whether no UNKNOWN is anywhere inside."""
    match value:
        case Unknown():
            return False
        case Sensitive(value=inner):
            return is_wholly_known(inner)
        case dict():
            return all(is_wholly_known(item) for item in value.values())
        case list():
            return all(is_wholly_known(item) for item in value)
        case _:
            return True


def has_sensitive(value: Value) -> bool:
    """Whether a sensitive value (or the fingerprint of one) is anywhere inside."""
    match value:
        case Sensitive() | Fingerprint():
            return True
        case dict():
            return any(has_sensitive(item) for item in value.values())
        case list():
            return any(has_sensitive(item) for item in value)
        case _:
            return False


def reveal(value: Value) -> Value:
    """The value with every Sensitive taken off. Only for what goes to E2B; never for what is shown or stored."""
    match value:
        case Sensitive(value=inner):
            return reveal(inner)
        case dict():
            return {key: reveal(item) for key, item in value.items()}
        case list():
            return [reveal(item) for item in value]
        case _:
            return value


def conceal(value: Value, fingerprint: Callable[[Value], Fingerprint]) -> Value:
    """The value with every Sensitive replaced by its fingerprint: the form that state, plans and comparisons use."""
    match value:
        case Sensitive(value=inner):
            revealed = reveal(inner)
            return UNKNOWN if not is_wholly_known(revealed) else fingerprint(revealed)
        case dict():
            return {key: conceal(item, fingerprint) for key, item in value.items()}
        case list():
            return [conceal(item, fingerprint) for item in value]
        case _:
            return value


_FINGERPRINT = "$fingerprint"
_UNKNOWN = "$unknown"


def to_json(value: Value) -> object:
    """JSON form of a concealed value. Raises TypeError on Sensitive: a secret can't be written by mistake."""
    match value:
        case Sensitive():
            raise TypeError("a sensitive value has no JSON form")
        case Fingerprint(digest=digest):
            return {_FINGERPRINT: digest}
        case Unknown():
            return {_UNKNOWN: True}
        case dict():
            return {key: to_json(item) for key, item in value.items()}
        case list():
            return [to_json(item) for item in value]
        case _:
            return value


def from_json(data: object) -> Value:
    """Inverse of :func:`to_json`."""
    match data:
        case {"$fingerprint": str(digest), **rest} if not rest:
            return Fingerprint(digest)
        case {"$unknown": True, **rest} if not rest:
            return UNKNOWN
        case dict():
            return {str(key): from_json(item) for key, item in data.items()}
        case list():
            return [from_json(item) for item in data]
        case None | bool() | int() | float() | str():
            return data
        case _:
            raise TypeError(f"not a JSON value: {type(data).__name__}")


def canonical(value: Value) -> str:
    """One text for equal values: sorted keys, no spaces. Raises TypeError on Sensitive."""
    return json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Value, length: int = 16) -> str:
    """Hex digest of the canonical form, shortened to ``length`` characters."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:length]


def fingerprinter(key: bytes) -> Callable[[Value], Fingerprint]:
    """A function that fingerprints with ``key``, the state's own, so that equal secrets of two projects differ."""

    def fingerprint(value: Value) -> Fingerprint:
        return Fingerprint(hmac.new(key, canonical(value).encode(), hashlib.sha256).hexdigest()[:24])

    return fingerprint


def lookup(value: Value, path: tuple[str | int, ...]) -> Value:
    """The part of ``value`` at ``path``; inside UNKNOWN everything is UNKNOWN, inside a secret all is secret.

    Raises KeyError where there is nothing.
    """
    for position, part in enumerate(path):
        match value:
            case Unknown():
                return UNKNOWN
            case Sensitive(value=inner):
                return Sensitive(lookup(inner, path[position:]))
            case dict() if part in value:
                value = value[str(part)]
            case list() if isinstance(part, int) and -len(value) <= part < len(value):
                value = value[part]
            case _:
                raise KeyError(part)
    return value


Attributes: TypeAlias = Mapping[str, Value]
