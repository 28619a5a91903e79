"""JSON bodies of envd's plain HTTP routes."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request


async def read_json(request: Request) -> Any:
    """The body as JSON in UTF-8. Raises ValueError.

    Unlike the request's own way, which guesses at UTF-16 and -32: their codecs can't be imported inside a machine.
    """
    return json.loads((await request.body()).decode())
