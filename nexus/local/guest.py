"""The daemon's own line to a machine's envd: HTTP/1.1 and Connect's JSON codec over the machine's Unix socket.

Clients reach envd through the edge. This is for what the engine itself does inside a machine: build steps, start and
ready commands, log collection.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import h11

_CHUNK = 256 * 1024
_END_OF_STREAM = 0x02
# A Connect frame from our own envd is at most one piece of output in base64.
_MAX_FRAME = 4 * 1024 * 1024


class GuestError(Exception):
    """envd refused or failed; ``code`` is Connect's word for it (``unauthenticated``, ``deadline_exceeded``, …)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A shell command for a login shell. ``user`` and ``cwd`` None mean the machine's defaults."""

    text: str
    user: str | None = None
    cwd: str | None = None
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)
    tag: str | None = None


OnOutput = Callable[[str, bytes], None]
"""Called with ``stdout`` or ``stderr`` and a piece of output."""


class Guest:
    """One machine's envd."""

    def __init__(self, envd_socket: Path, access_token: str | None = None) -> None:
        self._socket = envd_socket
        self._token = access_token

    async def run(self, command: Command, on_output: OnOutput, *, limit: float | None = None) -> int:
        """Run ``command`` to its end and return its exit code.

        ``limit`` (seconds) is enforced by envd, which then kills the command. Raises GuestError when envd cannot
        start it, at the deadline, or when the machine goes away.
        """
        async with contextlib.aclosing(self._start(command, limit)) as events:
            async for event in events:
                match event:
                    case {"data": dict(data)}:
                        for stream in ("stdout", "stderr"):
                            if piece := data.get(stream):
                                on_output(stream, base64.b64decode(str(piece)))
                    case {"end": dict(end)}:
                        return int(end.get("exitCode", 0))
                    case _:
                        pass
        raise GuestError("unavailable", "the command's stream ended without its result")

    async def launch(self, command: Command) -> int:
        """Start ``command`` in the background and return its pid; it goes on when this connection closes."""
        async with contextlib.aclosing(self._start(command, None)) as events:
            async for event in events:
                match event:
                    case {"start": {"pid": int(pid)}}:
                        return pid
                    case _:
                        pass
        raise GuestError("unavailable", "the command did not start")

    async def upload(self, source: Path, destination: str, *, user: str = "root") -> None:
        """Copy a host file into the machine."""
        size = source.stat().st_size
        target = f"/files?{_query({'path': destination, 'username': user})}"
        headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))]
        async with self._exchange("POST", target, headers, _file_pieces(source)) as (status, body):
            text = b"".join([piece async for piece in body])
        if status != 200:
            raise _refusal(status, text)

    async def get_json(self, target: str) -> object:
        """GET a JSON document of envd's."""
        async with self._exchange("GET", target, [], iter(())) as (status, body):
            text = b"".join([piece async for piece in body])
        if status != 200:
            raise _refusal(status, text)
        return json.loads(text)

    async def configure(self, wishes: Mapping[str, object]) -> None:
        """Change what envd was started with; see its ``/init``. Raises GuestError."""
        body = json.dumps(wishes).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        async with self._exchange("POST", "/init", headers, iter([body])) as (status, answer):
            text = b"".join([piece async for piece in answer])
        if status != 204:
            raise _refusal(status, text)

    async def _start(self, command: Command, limit: float | None) -> AsyncGenerator[Mapping[str, object], None]:
        """The events of one process, beginning with its start."""
        process: dict[str, object] = {
            "cmd": "/bin/bash",
            "args": ["-l", "-c", command.text],
            "envs": dict(command.envs),
        }
        if command.cwd is not None:
            process["cwd"] = command.cwd
        request: dict[str, object] = {"process": process, "stdin": False}
        if command.tag is not None:
            request["tag"] = command.tag
        body = _frame(json.dumps(request).encode())
        headers = [
            ("Content-Type", "application/connect+json"),
            ("Connect-Protocol-Version", "1"),
            ("Content-Length", str(len(body))),
        ]
        if limit is not None:
            headers.append(("Connect-Timeout-Ms", str(int(limit * 1000))))
        if command.user is not None:
            headers.append(("Authorization", "Basic " + base64.b64encode(f"{command.user}:".encode()).decode()))
        async with self._exchange("POST", "/process.Process/Start", headers, iter([body])) as (status, pieces):
            if status != 200:
                raise _refusal(status, b"".join([piece async for piece in pieces]))
            async for flags, message in _frames(pieces):
                document = json.loads(message or b"{}")
                if flags & _END_OF_STREAM:
                    if error := document.get("error"):
                        raise GuestError(str(error.get("code", "unknown")), str(error.get("message", "")))
                    return
                event = document.get("event")
                if isinstance(event, dict):
                    yield event

    @contextlib.asynccontextmanager
    async def _exchange(
        self, method: str, target: str, headers: list[tuple[str, str]], body: Iterator[bytes]
    ) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """One request on its own connection: the status, and the response's body as it comes."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        except OSError as error:
            raise GuestError("unavailable", f"the machine does not answer: {error}") from error
        connection = h11.Connection(h11.CLIENT)
        common = [("Host", "localhost"), ("Connection", "close"), ("Accept-Encoding", "identity")]
        if self._token is not None:
            common.append(("X-Access-Token", self._token))
        try:
            request = h11.Request(method=method, target=target, headers=[*common, *headers])
            writer.write(connection.send(request) or b"")
            for piece in body:
                writer.write(connection.send(h11.Data(data=piece)) or b"")
                await writer.drain()
            writer.write(connection.send(h11.EndOfMessage()) or b"")
            await writer.drain()
            status = await _response_status(connection, reader)
            yield status, _response_body(connection, reader)
        except (OSError, h11.ProtocolError) as error:
            raise GuestError("unavailable", f"the machine went away: {error}") from error
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Event | type[h11.PAUSED]:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(_CHUNK))
    return event  # type: ignore[return-value]


async def _response_status(connection: h11.Connection, reader: asyncio.StreamReader) -> int:
    while True:
        event = await _next_event(connection, reader)
        if isinstance(event, h11.Response):
            return event.status_code
        if isinstance(event, h11.ConnectionClosed):
            raise GuestError("unavailable", "the machine closed the connection without an answer")


async def _response_body(connection: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while isinstance(event := await _next_event(connection, reader), h11.Data):
        yield bytes(event.data)


async def _frames(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """Connect's envelopes: one byte of flags, four of length, the message."""
    buffer = bytearray()
    async for piece in pieces:
        buffer += piece
        while len(buffer) >= 5:
            flags, length = struct.unpack_from(">BI", buffer)
            if length > _MAX_FRAME:
                raise GuestError("internal", f"a message of {length} bytes is too long")
            if len(buffer) < 5 + length:
                break
            message = bytes(buffer[5 : 5 + length])
            del buffer[: 5 + length]
            yield flags, message


def _frame(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def _file_pieces(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while piece := file.read(_CHUNK):
            yield piece


def _query(values: Mapping[str, str]) -> str:
    return urlencode(values)


def _refusal(status: int, text: bytes) -> GuestError:
    code, message = str(status), text.decode(errors="replace")
    with contextlib.suppress(ValueError):
        document = json.loads(text)
        if isinstance(document, dict):
            code, message = str(document.get("code", code)), str(document.get("message", message))
    return GuestError(code, message)
