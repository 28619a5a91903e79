"""What both RPC services take from a request beside its message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

T = TypeVar("T")

_KEEPALIVE_SECONDS = 90
_KEEPALIVE_HEADER = "keepalive-ping-interval"

# The generated context is generic over request and response; the services only read headers and deadline from it.
Ctx = RequestContext[Any, Any]


def keepalive_seconds(ctx: Ctx) -> float:
    """How long a stream may be silent, as the client asked."""
    asked = ctx.request_headers.get(_KEEPALIVE_HEADER, "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else _KEEPALIVE_SECONDS


async def next_or_silence(event: Awaitable[T], keepalive: float, ctx: Ctx) -> T | None:
    """What ``event`` yields, or None when it is time for a keepalive.

    Raises ``deadline_exceeded`` when the request's own time is up.
    """
    remaining = ctx.timeout_ms
    seconds = keepalive if remaining is None else min(keepalive, max(remaining, 0) / 1000)
    try:
        async with asyncio.timeout(seconds):
            return await event
    except TimeoutError:
        if remaining is not None and seconds < keepalive:
            raise ConnectError(Code.DEADLINE_EXCEEDED, "deadline exceeded") from None
        return None
