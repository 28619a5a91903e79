"""The edge: the one HTTP server in front of all machines.

Connections are kept alive and may carry requests for different sandboxes; each request gets a connection of its own to
its machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
import ssl

import h11

from nexus.local.edge import answers
from nexus.local.edge.addressing import ENVD_PORT, BadAddressError, Target, is_internal, is_upload, target_of
from nexus.local.edge.answers import Answer
from nexus.local.edge.carriage import Carriage, CutShortError
from nexus.local.edge.directory import Directory, Route
from nexus.local.edge.exchange import HeaderList, UpstreamFailedError, forwarded_headers
from nexus.local.edge.faults import EdgeFaults, Strike
from nexus.local.edge.listening import Listener, TlsContext
from nexus.local.edge.lookup import look_up
from nexus.local.edge.open_streams import OpenStreams
from nexus.local.edge.peers import READ_SIZE, Peer, TlsUpstreamPeer, UpstreamPeer
from nexus.local.envd.access import AccessDeniedError

_IDLE_SECONDS = 120
_LINGER_SECONDS = 5
_LONGEST_LINGER_SECONDS = 60
_HANDSHAKE_SECONDS = 10
_SMALL_BODY = 1024 * 1024
_TRAFFIC_HEADER = "e2b-traffic-access-token"


class RequestHeaders:
    """Lookup of a request's headers; of repeated ones the first counts."""

    def __init__(self, request: h11.Request) -> None:
        self._values: dict[str, str] = {}
        for name, value in request.headers:
            self._values.setdefault(name.decode("latin-1"), value.decode("latin-1"))

    def get(self, name: str, default: str = "", /) -> str:
        return self._values.get(name, default)


class Edge:
    """Routes requests to machines by what ``directory`` knows; ``faults`` lets some of them fail on purpose.

    With ``tls`` its port takes https as well as http.
    """

    def __init__(
        self,
        directory: Directory,
        streams: OpenStreams | None = None,
        faults: EdgeFaults | None = None,
        tls: TlsContext | None = None,
    ) -> None:
        self._directory = directory
        self.streams = streams or OpenStreams()
        self._faults = faults
        self._connections: set[asyncio.Task[None]] = set()
        self._listener = Listener(self._accept, tls)

    async def start(self, listening: socket.socket) -> int:
        """Serve who connects to it, and return its port. Owns the socket from now on."""
        return self._listener.start(listening)

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        await self._listener.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def drop(self, sandbox_id: str) -> None:
        """End what is under way for a sandbox that is going to be killed or paused.

        Answers that have begun are cut; a request that has none yet is told that the sandbox was not found.
        """
        self.streams.drop(sandbox_id)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target | None = None
    ) -> None:
        """Answer requests until the connection ends; all are for ``target`` where that is known without them."""
        client = Peer(h11.SERVER, reader, writer)
        try:
            await self._serve(client, target)
        except (OSError, TimeoutError, h11.ProtocolError):
            client.abort()

    async def _serve(self, client: Peer, target: Target | None) -> None:
        while True:
            request = await self._next_request(client)
            if request is None:
                return
            await self._handle(client, request, target)
            # A machine may have answered before it read all; a small rest need not cost the connection.
            await _read_small_body(client)
            if client.http.our_state is not h11.DONE or client.http.their_state is not h11.DONE:
                await _linger(client)
                return
            client.http.start_next_cycle()

    async def _next_request(self, client: Peer) -> h11.Request | None:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                event = await client.next_event()
        except h11.RemoteProtocolError as error:
            await _refuse(client, answers.plain(error.error_status_hint, "the request is not valid HTTP/1.1"), "")
            return None
        return event if isinstance(event, h11.Request) else None

    async def _handle(self, client: Peer, request: h11.Request, target: Target | None) -> None:
        headers = RequestHeaders(request)
        try:
            answer = await self._forward(client, request, headers, target)
        except BadAddressError as error:
            answer = answers.plain(400, str(error))
        except AccessDeniedError as error:
            answer = answers.plain(401, str(error))
        if answer is not None:
            await _refuse(client, answer, headers.get("user-agent"))

    async def _forward(
        self, client: Peer, request: h11.Request, headers: RequestHeaders, target: Target | None
    ) -> Answer | None:
        """Carry the request to its machine, or say what to answer instead."""
        method, url = request.method.decode("ascii"), request.target.decode("latin-1")
        target = target or target_of(method, url, headers, self._directory)
        if self._faults is None:
            return await self._forward_to(target, client, request, headers, Strike())
        async with self._faults.around(method, url, target) as strike:
            if strike.reset:
                client.abort()
                return None
            return strike.answer or await self._forward_to(target, client, request, headers, strike)

    async def _forward_to(
        self, target: Target, client: Peer, request: h11.Request, headers: RequestHeaders, strike: Strike
    ) -> Answer | None:
        method, url = request.method.decode("ascii"), request.target.decode("latin-1")
        route = await look_up(self._directory, target.sandbox_id)
        if isinstance(route, Answer):
            return route
        if is_internal(target, url):
            return answers.plain(404, "not found")
        if target.port != ENVD_PORT and (refusal := _check_traffic(route, headers)) is not None:
            return refusal
        if target.port == ENVD_PORT and is_upload(method, url) and not route.has_room():
            return answers.disk_full(target.sandbox_id)
        return await self._carry(client, request, route, target, strike)

    async def _carry(
        self, client: Peer, request: h11.Request, route: Route, target: Target, strike: Strike
    ) -> Answer | None:
        headers = _headers(request, route, target)
        carriage = Carriage(client, request, headers, lose_answer=strike.lose_answer)
        # Registered before anything is awaited, so that a kill or pause from now on ends this request too.
        with self.streams.carrying(target.sandbox_id, carriage.cut):
            try:
                await carriage.run(_connect(route, target.port))
            except CutShortError:
                # Not looked up again: that could wake the sandbox that has just been put to sleep.
                return answers.sandbox_not_found(target.sandbox_id)
            except (OSError, UpstreamFailedError):
                return await self._unreachable(target)
        return None

    async def _unreachable(self, target: Target) -> Answer:
        """Why a machine could not be reached: it may have gone since it was found."""
        found = await look_up(self._directory, target.sandbox_id)
        return found if isinstance(found, Answer) else answers.port_not_open(target.sandbox_id, target.port)


def _check_traffic(route: Route, headers: RequestHeaders) -> Answer | None:
    """Ask for the traffic token where a sandbox is not public."""
    if route.ingress.public:
        return None
    shown, token = headers.get(_TRAFFIC_HEADER), route.ingress.traffic_token
    if token and hmac.compare_digest(shown.encode("latin-1"), token.encode()):
        return None
    return answers.traffic_refused(route.sandbox_id, token_shown=bool(shown))


def _headers(request: h11.Request, route: Route, target: Target) -> HeaderList:
    """What a machine gets to see: the traffic token is for the edge alone."""
    return forwarded_headers(request, host=_host_header(request, route, target), without=_TRAFFIC_HEADER.encode())


def _host_header(request: h11.Request, route: Route, target: Target) -> bytes:
    mask = route.ingress.mask_host
    if mask is not None and target.port != ENVD_PORT:
        return mask.replace("${PORT}", str(target.port)).encode("latin-1", "replace")
    return next((value for name, value in request.headers if name == b"host"), b"localhost")


async def _connect(route: Route, port: int) -> UpstreamPeer:
    """A connection to a machine's port, over TLS where its server wants that. Raises OSError."""
    if port == ENVD_PORT:
        streams = await asyncio.open_unix_connection(str(route.machine.envd_socket), limit=READ_SIZE)
    else:
        streams = await asyncio.open_connection(sock=await route.machine.dial(port), limit=READ_SIZE)
    if port in route.ingress.https_ports:
        return await _secured(*streams)
    return UpstreamPeer(*streams)


async def _secured(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> UpstreamPeer:
    """TLS to a server inside a machine, whatever certificate it shows: the connection leads nowhere else."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    try:
        await writer.start_tls(context, ssl_handshake_timeout=_HANDSHAKE_SECONDS)
    except BaseException:
        writer.transport.abort()
        raise
    return TlsUpstreamPeer(reader, writer)


async def _refuse(client: Peer, answer: Answer, user_agent: str) -> None:
    """Answer without a machine. The connection stays usable when the request's body is small enough to be read."""
    if client.http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        client.abort()
        return
    whole = await _read_small_body(client)
    content_type, content = answer.render(user_agent)
    headers = [("Content-Type", content_type), ("Content-Length", str(len(content))), *answer.headers.items()]
    if not whole:
        headers.append(("Connection", "close"))
    await client.send(h11.Response(status_code=answer.status, headers=headers))
    await client.send(h11.Data(data=content))
    await client.send(h11.EndOfMessage())


async def _read_small_body(client: Peer) -> bool:
    """Read the rest of the request if there is not much of it; False when there is, or may be, more."""
    size = 0
    if client.http.they_are_waiting_for_100_continue:
        return False
    try:
        async with asyncio.timeout(_LINGER_SECONDS / 10):
            while client.http.their_state is h11.SEND_BODY and size <= _SMALL_BODY:
                event = await client.next_event()
                size += len(event.data) if isinstance(event, h11.Data) else 0
    except (TimeoutError, h11.ProtocolError):
        return False
    return client.http.their_state is h11.DONE


async def _linger(client: Peer) -> None:
    """Read on for a moment, because closing at once could destroy an answer that is still on its way.

    A client that looks at the answer only when it has sent everything is given time, as long as it goes on.
    """
    with contextlib.suppress(OSError, TimeoutError):
        if client.writer.can_write_eof():
            client.writer.write_eof()
        async with asyncio.timeout(_LONGEST_LINGER_SECONDS):
            while await asyncio.wait_for(client.reader.read(READ_SIZE), _LINGER_SECONDS):
                pass
