"""A control plane that only remembers: enough of E2B's REST API to apply and list sandboxes without making machines.

It lets the planner and the applier be measured at sizes that no machine could hold. It counts what it is asked.
Run as ``python control_plane.py PORT [SCALE]``: answers are slow by SCALE times what `latency` says, at once without.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PAGE = 100
SCALE = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
ARMING = 0.05
"""Seconds that setting a timeout takes, before scaling."""
asked: Counter[str] = Counter()
sandboxes: dict[str, dict[str, object]] = {}
numbers = itertools.count()


def latency(name: str) -> float:
    """Seconds that creating this sandbox takes, before scaling: between 0.2 and 1, the same in every run."""
    return 0.2 + zlib.crc32(name.encode()) % 800 / 1000


async def create(request: Request) -> Response:
    body = await request.json()
    asked["create"] += 1
    if SCALE:
        await asyncio.sleep(SCALE * latency((body.get("metadata") or {}).get("nexus.address", "")))
    identity = f"i{next(numbers):020d}"
    now = datetime.now(UTC)
    sandboxes[identity] = {
        "sandboxID": identity,
        "templateID": body["templateID"],
        "clientID": "bench",
        "envdVersion": "0.6.13",
        "metadata": body.get("metadata") or {},
        "startedAt": now.isoformat(),
        "endAt": (now + timedelta(seconds=body.get("timeout", 300))).isoformat(),
        "state": "running",
        "cpuCount": 2,
        "memoryMB": 512,
        "diskSizeMB": 512,
        "volumeMounts": [],
    }
    return JSONResponse(sandboxes[identity], status_code=201)


async def listing(request: Request) -> Response:
    asked["list"] += 1
    wanted = dict(parse_qsl(unquote(request.query_params.get("metadata", ""))))
    wanted = {unquote(key): unquote(value) for key, value in wanted.items()}
    matching = [box for box in sandboxes.values() if wanted.items() <= dict(box["metadata"]).items()]  # type: ignore[call-overload]
    start = int(request.query_params.get("nextToken") or 0)
    page = matching[start : start + PAGE]
    headers = {"x-next-token": str(start + PAGE)} if start + PAGE < len(matching) else {}
    return JSONResponse(page, headers=headers)


async def one(request: Request) -> Response:
    asked[request.method.lower()] += 1
    box = sandboxes.get(request.path_params["identity"])
    if box is None:
        return JSONResponse({"code": 404, "message": "not found"}, status_code=404)
    if request.method == "DELETE":
        del sandboxes[request.path_params["identity"]]
        return Response(status_code=204)
    return JSONResponse(box)


async def timeout(request: Request) -> Response:
    seconds = (await request.json())["timeout"]
    asked["timeout"] += 1
    if SCALE:
        await asyncio.sleep(SCALE * ARMING)
    box = sandboxes[request.path_params["identity"]]
    box["endAt"] = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return Response(status_code=204)


async def counts(_request: Request) -> Response:
    """What was asked since the last time, by kind."""
    answer = dict(asked)
    asked.clear()
    return JSONResponse(answer)


app = Starlette(
    routes=[
        Route("/counts", counts),
        Route("/v2/sandboxes", create, methods=["POST"]),
        Route("/v2/sandboxes", listing),
        Route("/sandboxes/{identity}", one, methods=["GET", "DELETE"]),
        Route("/sandboxes/{identity}/timeout", timeout, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
