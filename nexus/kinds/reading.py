"""Reading values of any type: each function gives one plain form, or raises InvalidValue with a message for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nexus.model.values import Fingerprint, Sensitive, Unknown, Value

ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_ENV_NAME = re.compile(ENV_NAME)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class InvalidValue(ValueError):  # noqa: N818 - it says what the value is, as ValueError does
    """The value can't be what the field needs. The message completes «… must be»: «a duration such as 30m, not 'x'».

    ``path`` leads from the value that was read to the part of it that is wrong.
    """

    def __init__(
        self, message: str, *, code: str = "invalid-value", hint: str = "", path: tuple[str | int, ...] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.path = path


def label(path: tuple[str | int, ...]) -> str:
    """A path as people write it: ``ready.port``, ``uploads[0].mode``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@contextmanager
def within(*parts: str | int) -> Iterator[None]:
    """What is found wrong inside is at ``parts`` of the value around."""
    try:
        yield
    except InvalidValue as problem:
        problem.path = (*parts, *problem.path)
        raise


def shown(value: Value) -> str:
    """The value as a message may show it: short, and nothing of a secret."""
    match value:
        case Unknown():
            return "a value that is not known yet"
        case Sensitive() | Fingerprint():
            return "a secret"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None:
            return "nothing"
        case _:
            text = json.dumps(value, ensure_ascii=False)
            return text if len(text) <= 60 else f"{text[:57]}…"


def inside(value: Value, read: Callable[[Value], Value]) -> Value:
    """``read`` of the value where it is known; UNKNOWN and fingerprints stay, and what is read from a secret is one.

    The message of an InvalidValue raised for a secret says nothing of what it holds.
    """
    match value:
        case Unknown() | Fingerprint():
            return value
        case Sensitive(value=inner):
            try:
                return Sensitive(inside(inner, read))
            except InvalidValue as problem:
                raise InvalidValue("something that this secret is not", code=problem.code, path=problem.path) from None
        case _:
            return read(value)


def spread(value: Value) -> Value:
    """A secret mapping or list as a mapping or list of secrets, so that its shape can be read."""
    match value:
        case Sensitive(value=dict() as inner):
            return {key: Sensitive(item) for key, item in inner.items()}
        case Sensitive(value=list() as items):
            return [Sensitive(item) for item in items]
        case _:
            return value


def text(value: Value) -> str:
    """A string that has something in it."""
    if not isinstance(value, str) or not value:
        raise InvalidValue(f"a text, not {shown(value) if value != '' else 'an empty one'}", code="wrong-type")
    if "\x00" in value:
        raise InvalidValue("a text without zero bytes")
    return value


def line(value: Value) -> str:
    """A text without line breaks and control characters."""
    found = text(value)
    if _CONTROL.search(found):
        raise InvalidValue("one line of text")
    return found


def as_text(value: Value) -> str:
    """A scalar in the form in which environments and metadata carry it: ``true``, ``3``, ``1.5``."""
    match value:
        case str():
            if "\x00" in value:
                raise InvalidValue("a text without zero bytes")
            return value
        case bool() | int() | float():
            return json.dumps(value)
        case None:
            raise InvalidValue("a text, not nothing", code="wrong-type", hint='write "" for an empty text')
        case _:
            raise InvalidValue(f"a text, a number or a boolean, not {shown(value)}", code="wrong-type")


def boolean(value: Value) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(f"true or false, not {shown(value)}", code="wrong-type")
    return value


def integer(minimum: int, maximum: int) -> Callable[[Value], Value]:
    """A reader of whole numbers in a range. Digits in a string count, as environments only have strings."""

    def read(value: Value) -> Value:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidValue(f"a whole number, not {shown(value)}", code="wrong-type")
        if not minimum <= value <= maximum:
            raise InvalidValue(f"between {minimum} and {maximum}, not {value}")
        return value

    return read


def one_of(*words: str) -> Callable[[Value], Value]:
    """A reader of one word of a few."""

    def read(value: Value) -> Value:
        if not isinstance(value, str) or value not in words:
            raise InvalidValue(f"one of {', '.join(words)}, not {shown(value)}")
        return value

    return read


def mapping(value: Value) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise InvalidValue(f"a mapping, not {shown(value)}", code="wrong-type")
    return value


def sequence(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise InvalidValue(f"a list, not {shown(value)}", code="wrong-type")
    return value


def clean_path(value: Value) -> str:
    """An absolute path in a sandbox, without ``.``, ``..``, doubled or trailing slashes."""
    path = line(value)
    if not path.startswith("/"):
        raise InvalidValue(f"an absolute path, not {shown(path)}", hint="paths in a sandbox begin with /")
    parts = path.split("/")[1:]
    if path != "/" and any(part in ("", ".", "..") for part in parts):
        raise InvalidValue(f"a path without //, /./ , /../ and a slash at its end, not {shown(path)}")
    return path


def folder_path(value: Value) -> str:
    """As :func:`clean_path`; one slash at the end is taken off."""
    path = line(value)
    return clean_path(path[:-1] if len(path) > 1 and path.endswith("/") else path)


def user_name(value: Value) -> str:
    """A name of a Unix account."""
    name = line(value)
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", name):
        raise InvalidValue(f"the name of a user such as user or root, not {shown(name)}")
    return name


def env_vars(value: Value) -> Value:
    """``{name: text}``; numbers and booleans become texts, secrets stay secrets."""
    found: dict[str, Value] = {}
    for name, item in mapping(value).items():
        with within(name):
            if not _ENV_NAME.fullmatch(name):
                raise InvalidValue("called by letters, digits and _, without a digit first", code="invalid-name")
            found[name] = inside(item, as_text)
    return found
