"""Pages of lists that are ordered by something other than time: the token names the last item shown."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from starlette.requests import Request

from nexus.local.control_plane.bodies import query_number
from nexus.local.errors import InvalidRequestError

MAX_PAGE = 100
Item = TypeVar("Item")


def page(
    request: Request, items: Sequence[Item], identity: Callable[[Item], str]
) -> tuple[Sequence[Item], dict[str, str]]:
    """The page the request asks for, and the headers that lead to the next one."""
    limit = query_number(request, "limit", MAX_PAGE, low=1, high=MAX_PAGE)
    start = _start(items, identity, request.query_params.get("nextToken"))
    shown = items[start : start + limit]
    if start + limit >= len(items):
        return shown, {}
    return shown, {"x-next-token": base64.urlsafe_b64encode(identity(shown[-1]).encode()).decode()}


def _start(items: Sequence[Item], identity: Callable[[Item], str], token: str | None) -> int:
    if not token:
        return 0
    try:
        last = base64.urlsafe_b64decode(token.encode()).decode()
    except (ValueError, binascii.Error):
        raise InvalidRequestError("Invalid next token") from None
    for index, item in enumerate(items):
        if identity(item) == last:
            return index + 1
    raise InvalidRequestError("Invalid next token")
