"""What both RPC services take from a request beside its message."""

from __future__ import annotations

from typing import Any

from connectrpc.request import RequestContext

_KEEPALIVE_SECONDS = 90
_KEEPALIVE_HEADER = "keepalive-ping-interval"

# The generated context is generic over request and response; the services only read headers and deadline from it.
Ctx = RequestContext[Any, Any]


def keepalive_seconds(ctx: Ctx) -> float:
    """How long a stream may be silent, as the client asked."""
    asked = ctx.request_headers.get(_KEEPALIVE_HEADER, "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else _KEEPALIVE_SECONDS
