"""Reading requests: JSON bodies and query values, checked field by field, refused in E2B's words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from starlette.requests import Request

from nexus.local.errors import EndlessBodyError, InvalidRequestError, TooLargeError

MAX_BODY = 4 * 1024 * 1024
# What is read of a body that is too large, so that a client that writes before it reads gets its answer.
_DRAINED = 16 * MAX_BODY
_INT32 = 2**31
_NULLABLE = frozenset({"egressProxy", "mcp"})
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

Value: TypeAlias = object


class Fields:
    """A JSON object with typed access. What is absent counts as the default; a wrong type is a 400 naming the field."""

    def __init__(self, values: Mapping[str, object], where: str = "") -> None:
        self._values = values
        self._where = where

    def raw(self) -> Mapping[str, object]:
        return self._values

    def has(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str) -> str | None:
        value = self._given(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def required_text(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise InvalidRequestError(f"{self._where}{key} is required")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self.optional_flag(key)
        return default if value is None else value

    def optional_flag(self, key: str) -> bool | None:
        value = self._given(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def number(self, key: str, default: int) -> int:
        value = self.optional_number(key)
        return default if value is None else value

    def optional_number(self, key: str) -> int | None:
        value = self._given(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self._wrong(key, "a whole number")
        if value is not None and not -_INT32 <= value < _INT32:
            raise self._wrong(key, "a number of 32 bits")
        return value

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self._given(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of strings")
        return tuple(value)

    def numbers(self, key: str) -> tuple[int, ...] | None:
        value = self._given(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise self._wrong(key, "a list of whole numbers")
        return tuple(value)

    def text_map(self, key: str) -> dict[str, str]:
        value = self._given(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key, "an object of strings")
        return dict(value)

    def object(self, key: str) -> Fields | None:
        value = self._given(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return Fields(value, f"{self._where}{key}.")

    def objects(self, key: str) -> list[Fields]:
        value = self._given(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong(key, "a list of objects")
        return [Fields(item, f"{self._where}{key}[{index}].") for index, item in enumerate(value)]

    def _given(self, key: str) -> Value:
        """The value; None only when it is absent, or null where E2B's document allows that."""
        value = self._values.get(key)
        if value is None and key in self._values and key not in _NULLABLE:
            raise InvalidRequestError(f"Invalid request body: {self._where}{key} must not be null")
        return value

    def _wrong(self, key: str, expected: str) -> InvalidRequestError:
        return InvalidRequestError(f"Invalid request body: {self._where}{key} must be {expected}")


async def read_fields(request: Request) -> Fields:
    """The request's JSON object."""
    return _fields(await read_json(request))


async def read_optional_fields(request: Request) -> Fields:
    """The request's JSON object; no body counts as an empty one."""
    return _fields(await read_json(request, default={}))


def _fields(value: object) -> Fields:
    if not isinstance(value, dict):
        raise InvalidRequestError("Invalid request body: a JSON object is expected")
    return Fields(value)


async def read_json(request: Request, default: object = None) -> object:
    """The request's JSON value, ``default`` when there is no body. The body is read whole before it is refused."""
    content = await _read_body(request)
    if not content.strip():
        return default
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise InvalidRequestError(f"Invalid request body: Content-Type has the unexpected value {media_type!r}")
    try:
        text = content.decode("utf-8")
        value: object = json.loads(text, parse_constant=_no_constant)
        # An escaped half of a character is valid JSON, but no text: nothing could write it down.
        if "\\u" in text and _LONE_SURROGATE.search(json.dumps(value, ensure_ascii=False)):
            raise ValueError("half a character")
    except (ValueError, RecursionError):
        raise InvalidRequestError("Invalid request body: it is not valid JSON") from None
    return value


async def _read_body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
        elif size > _DRAINED:
            raise EndlessBodyError(f"the request body is larger than {MAX_BODY} bytes")
    if size > MAX_BODY:
        raise TooLargeError(f"the request body is larger than {MAX_BODY} bytes")
    return b"".join(chunks)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def query_number(request: Request, key: str, default: int, *, low: int = 0, high: int | None = None) -> int:
    """A whole number of the query within its bounds."""
    text = request.query_params.get(key)
    if text is None:
        return default
    if _NUMBER.fullmatch(text) is None:
        raise InvalidRequestError(f"Invalid query: {key} must be a whole number")
    value = int(text)
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise InvalidRequestError(f"Invalid query: {key} must be {bounds}")
    return value


def query_seconds(request: Request, key: str) -> datetime | None:
    """A Unix time in seconds."""
    return _moment(request, key, 1)


def query_milliseconds(request: Request, key: str) -> datetime | None:
    """A Unix time in milliseconds."""
    return _moment(request, key, 1000)


def query_time(request: Request, key: str) -> datetime | None:
    """An ISO 8601 time; one without a zone is UTC."""
    text = request.query_params.get(key)
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError(f"Invalid query: {key} must be an ISO 8601 time") from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _moment(request: Request, key: str, per_second: int) -> datetime | None:
    if key not in request.query_params:
        return None
    try:
        return datetime.fromtimestamp(query_number(request, key, 0) / per_second, UTC)
    except (OverflowError, OSError, ValueError):
        raise InvalidRequestError(f"Invalid query: {key} is out of range") from None
