"""Answers of the generated REST client, as values or as errors. The SDK has no methods for some of the API."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol, TypeVar

from e2b.api import handle_api_exception

from nexus.providers.e2b import errors

T = TypeVar("T")


class Response(Protocol):
    """The part of the generated client's responses that matters here."""

    @property
    def status_code(self) -> HTTPStatus: ...

    @property
    def content(self) -> bytes: ...

    @property
    def parsed(self) -> object: ...


def answer(response: Response, kind: type[T], address: str = "") -> T:
    """The body of a response that should be a ``kind``. Raises ProviderError for every other answer."""
    confirm(response, address)
    if not isinstance(response.parsed, kind):
        raise errors.failure(
            "unexpected-answer",
            "E2B answered something that nexus does not understand",
            detail=f"Expected {kind.__name__}, got HTTP {int(response.status_code)}.",
            address=address,
        )
    return response.parsed


def confirm(response: Response, address: str = "") -> None:
    """Raises ProviderError unless the response says that it is done."""
    if response.status_code >= 300:
        raise errors.translate(handle_api_exception(response), address)
