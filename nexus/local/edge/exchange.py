"""One request carried to a machine and its response carried back, bodies streaming both ways at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import h11

from nexus.local.edge.peers import READ_SIZE, Peer, splice

_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"trailer"})
# Written anew, or answered here.
_REWRITTEN = frozenset({b"host", b"upgrade", b"expect"})
_MAX_PIPELINED = 64 * 1024

HeaderList = list[tuple[bytes, bytes]]


class UpstreamFailedError(Exception):
    """The machine's side broke before it gave any response."""


class Exchange:
    """Carries one request, with ``headers`` from :func:`forwarded_headers` in the place of its own.

    The client's connection is cut when the response cannot be completed.
    """

    def __init__(self, client: Peer, upstream: Peer, request: h11.Request, headers: HeaderList) -> None:
        self._client = client
        self._upstream = upstream
        self._request = request
        self._headers = headers
        self._client_gone = False

    async def run(self, *, lose_answer: bool = False) -> None:
        """Carry request and response. Raises :class:`UpstreamFailedError` while nothing has been answered yet.

        Afterwards the client's h11 state says whether its connection can carry another request. ``lose_answer`` cuts
        the client's connection when the machine answers.
        """
        if self._client.writer.transport.is_closing():
            return
        body = asyncio.create_task(self._carry_request())
        try:
            response = await self._first_response()
            if lose_answer:
                self._client.abort()
            elif isinstance(response, h11.InformationalResponse):
                await _stop(body)
                await self._switch_protocols(response)
            else:
                await self._carry_response(response)
        except (OSError, h11.ProtocolError):
            self._client.abort()
        finally:
            await _stop(body)

    async def _carry_request(self) -> None:
        """Send head and body on, then watch whether the client goes away."""
        broken = False
        try:
            await self._upstream.send(
                h11.Request(method=self._request.method, target=self._request.target, headers=self._headers)
            )
        except (OSError, h11.LocalProtocolError):
            broken = True
        with contextlib.suppress(OSError, h11.ProtocolError):
            await self._answer_expectation()
            while True:
                event = await self._client.next_event()
                if not isinstance(event, h11.Data | h11.EndOfMessage):
                    break
                # A server may answer and close before it has read all; the rest is read from the client all the same.
                if not broken:
                    broken = not await self._pass_on(event)
                if isinstance(event, h11.EndOfMessage):
                    break
            await self._watch_client()
            return
        self._client_left()

    async def _answer_expectation(self) -> None:
        if self._client.http.they_are_waiting_for_100_continue:
            await self._client.send(h11.InformationalResponse(status_code=100, headers=[]))

    async def _pass_on(self, event: h11.Data | h11.EndOfMessage) -> bool:
        try:
            await self._upstream.send(event)
        except (OSError, h11.LocalProtocolError):
            return False
        return True

    async def _watch_client(self) -> None:
        """Notice the client's leaving during a long response; keep what it sends ahead, within bounds."""
        ahead = 0
        while ahead < _MAX_PIPELINED:
            data = await self._client.reader.read(READ_SIZE)
            self._client.http.receive_data(data)
            if not data:
                self._client_left()
                return
            ahead += len(data)

    def _client_left(self) -> None:
        self._client_gone = True
        self._upstream.abort()

    async def _first_response(self) -> h11.Response | h11.InformationalResponse:
        try:
            while True:
                event = await self._upstream.next_event()
                if isinstance(event, h11.Response):
                    return event
                if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                    return event
                if not isinstance(event, h11.InformationalResponse):
                    raise UpstreamFailedError("the connection was closed without a response")
        except (OSError, h11.RemoteProtocolError) as error:
            if self._client_gone:
                raise ConnectionResetError("the client left") from error
            raise UpstreamFailedError(str(error)) from error

    async def _carry_response(self, response: h11.Response) -> None:
        headers = [
            pair for pair in _end_to_end(response.headers.raw_items()) if pair[0].lower() != b"transfer-encoding"
        ]
        await self._client.send(h11.Response(status_code=response.status_code, reason=response.reason, headers=headers))
        while True:
            event = await self._upstream.next_event()
            if isinstance(event, h11.Data):
                await self._client.send(event)
            elif isinstance(event, h11.EndOfMessage):
                if self._client_gone:
                    raise ConnectionResetError("the client left")
                await self._client.send(h11.EndOfMessage())
                return
            else:
                raise ConnectionResetError("the response ended early")

    async def _switch_protocols(self, response: h11.InformationalResponse) -> None:
        """Pass a 101 on and become a plain carrier of bytes, for WebSockets and the like."""
        headers = list(response.headers.raw_items())
        await self._client.send(h11.InformationalResponse(status_code=101, reason=response.reason, headers=headers))
        self._upstream.writer.write(self._client.http.trailing_data[0])
        self._client.writer.write(self._upstream.http.trailing_data[0])
        await splice((self._client.reader, self._client.writer), (self._upstream.reader, self._upstream.writer))


def forwarded_headers(request: h11.Request, *, host: bytes, without: bytes = b"") -> HeaderList:
    """The client's headers for one request on a connection of its own, with Host written the usual way.

    ``without`` is the name of one that goes no further.
    """
    headers: HeaderList = [(b"Host", host)]
    for name, value in _end_to_end(request.headers.raw_items()):
        if name.lower() not in _REWRITTEN and name.lower() != without:
            headers.append((name, value))
    upgrade = next((value for name, value in request.headers if name == b"upgrade"), None)
    if upgrade is not None:
        return [*headers, (b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]
    return [*headers, (b"Connection", b"close")]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
    """Headers without those that concern one connection only, named ones included."""
    pairs = list(headers)
    named = {
        token.strip().lower()
        for name, value in pairs
        if name.lower() == b"connection"
        for token in value.split(b",")
        if token.strip().lower() != b"upgrade"
    }
    return [(name, value) for name, value in pairs if name.lower() not in _HOP_BY_HOP | named]


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
