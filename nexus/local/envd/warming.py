"""Doing everything once before the fork.

A machine's own root holds another file system, so nothing can be imported there any more. Before the zygote forks,
every service is used once over a real connection; whatever Python loads lazily is then loaded, and the forks share it.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import socket
import struct
import tempfile
import zlib
from pathlib import Path

from nexus.local.envd.accounts import Accounts
from nexus.local.envd.app import create_envd
from nexus.local.envd.config import EnvdConfig
from nexus.local.envd.reaper import Reaper
from nexus.local.envd.serving import start_server

_TOKEN = "warm-up"  # noqa: S105 - protects nothing


def warm_up() -> None:
    """Use every service once. Call it without a running loop, in the main thread, before the first fork."""
    with tempfile.TemporaryDirectory(prefix="nexus-envd-") as folder:
        asyncio.run(_exercise(Path(folder)))
    gc.collect()
    # A collection after the fork would touch, and so copy, all pages of what is loaded here.
    gc.freeze()


async def _exercise(folder: Path) -> None:
    accounts = _one_user(folder)
    config = EnvdConfig(
        sandbox_id="warm-up", template_id="warm-up", access_token=_TOKEN, default_user="warm", user_switch="none"
    )
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(folder / "socket"))
    listening.listen()
    app = create_envd(config, accounts=accounts, reaper=Reaper(orphans=False))
    server = await start_server(app, listening)
    try:
        for request in _requests(str(folder / "home")):
            await _send(str(folder / "socket"), request)
    finally:
        server.close()
        await server.wait_closed()


def _one_user(folder: Path) -> Accounts:
    (folder / "home").mkdir()
    (folder / "passwd").write_text(f"warm:x:{os.getuid()}:{os.getgid()}::{folder / 'home'}:/bin/sh\n")
    (folder / "group").write_text(f"warm:x:{os.getgid()}:warm\n")
    return Accounts(folder)


def _requests(home: str) -> list[bytes]:
    packed = zlib.compress(b"x", wbits=31)
    boundary = "multipart/form-data; boundary=b"
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="one"\r\n\r\ntext\r\n--b--\r\n'
    octets = "application/octet-stream"
    missing = {"path": f"{home}/missing"}
    return [
        _http("GET", "/health"),
        _http("GET", "/envs"),
        _http("GET", "/metrics"),
        _http("GET", "/logs"),
        _http("GET", "/nothing"),
        _http("GET", "/envs", token="wrong"),  # noqa: S106
        _http("POST", "/init", b"{}"),
        _http("POST", "/files", part, boundary),
        _http("POST", "/files?path=two", packed, octets, extra="Content-Encoding: gzip\r\nX-Metadata-a: b\r\n"),
        _http("POST", "/files?path=.", b"", octets),
        _http("GET", "/files?path=one", extra="Accept-Encoding: gzip\r\n"),
        _http("GET", "/files?path=one", extra="Range: bytes=0-1\r\nIf-Modified-Since: x\r\n"),
        _http("GET", "/files?path=one&signature=x&signature_expiration=1", token=""),
        _http("GET", "/files?path=missing"),
        _http("GET", "/files?path=one&username=nobody-of-this-name"),
        _http("POST", "/files/compose", b'{"source_paths": ["one"], "destination": "three"}'),
        _unary("filesystem.Filesystem/Stat", {"path": "two"}),
        _unary("filesystem.Filesystem/Stat", missing),
        _unary("filesystem.Filesystem/MakeDir", {"path": "folder"}),
        _unary("filesystem.Filesystem/Move", {"source": "two", "destination": "folder/two"}),
        _unary("filesystem.Filesystem/ListDir", {"path": "", "depth": 2}),
        _unary("filesystem.Filesystem/CreateWatcher", {"path": "", "recursive": True}),
        _unary("filesystem.Filesystem/GetWatcherEvents", {"watcherId": "none"}),
        _unary("filesystem.Filesystem/Remove", {"path": "folder"}),
        _stream("filesystem.Filesystem/WatchDir", {"path": ""}, timeout_ms=20),
        _stream("process.Process/Start", _start("read x; echo $x; exit 3"), timeout_ms=50),
        _stream("process.Process/Start", _start("echo out; echo err >&2", stdin=False)),
        _stream("process.Process/Start", _start("exit 1", pty={"size": {"cols": 80, "rows": 24}})),
        _stream("process.Process/Start", _start("true", cwd="/nowhere")),
        _stream("process.Process/Connect", {"process": {"pid": 4_000_000}}),
        _stream("process.Process/StreamInput", {"start": {"process": {"tag": "none"}}}),
        _unary("process.Process/List", {}),
        _unary("process.Process/SendInput", {"process": {"pid": 4_000_000}, "input": {"stdin": _base64(b"x")}}),
        _unary("process.Process/SendSignal", {"process": {"pid": 4_000_000}, "signal": "SIGNAL_SIGKILL"}),
    ]


def _start(script: str, **more: object) -> dict[str, object]:
    cwd = more.pop("cwd", "")
    return {"process": {"cmd": "/bin/sh", "args": ["-c", script], "cwd": cwd}, **more}


def _unary(method: str, message: object) -> bytes:
    extra = "Connect-Protocol-Version: 1\r\nConnect-Timeout-Ms: 60000\r\nAccept-Encoding: gzip\r\n"
    return _http("POST", f"/{method}", json.dumps(message).encode(), "application/json", extra)


def _stream(method: str, message: object, timeout_ms: int = 60_000) -> bytes:
    body = json.dumps(message).encode()
    extra = f"Connect-Protocol-Version: 1\r\nConnect-Timeout-Ms: {timeout_ms}\r\nKeepalive-Ping-Interval: 50\r\n"
    return _http("POST", f"/{method}", struct.pack(">BI", 0, len(body)) + body, "application/connect+json", extra)


def _http(
    method: str,
    target: str,
    body: bytes = b"",
    content_type: str = "application/json",
    extra: str = "",
    token: str = _TOKEN,
) -> bytes:
    shown = f"X-Access-Token: {token}\r\n" if token else ""
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{shown}{extra}"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _send(path: str, request: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    async with asyncio.timeout(30):
        while await reader.read(65536):
            pass
    writer.close()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
