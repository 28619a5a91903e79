"""The relay's server: takes diverted connections, looks at what they carry, and takes them where they were going."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Final

import h11

from nexus.local.edge.peers import READ_SIZE, Peer, splice
from nexus.local.network import diversion
from nexus.local.network.diversion import Diversion
from nexus.local.network.names import is_localhost, normal
from nexus.local.network.verdicts import FORWARD_NETWORK
from nexus.local.relay.authority import Authority
from nexus.local.relay.model import HostRule
from nexus.local.relay.outgoing import Outgoing
from nexus.local.relay.peeking import Opening, Speech, peek, without_port
from nexus.local.relay.requests import RequestCarrier
from nexus.local.relay.socks import Streams, connect_through
from nexus.local.waiting import readable

_BACKLOG: Final = 1024
_PREAMBLE_SECONDS: Final = 5.0
_OPENING_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 60.0
_HANDSHAKE_SECONDS: Final = 15.0
# On other ports than these the server may be the one to speak first.
_CLIENT_FIRST: Final = frozenset({80, 443, 3000, 5000, 8000, 8080, 8443})
_SILENCE_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)

OutgoingOf = Callable[[str], Outgoing | None]
"""What applies to a machine now, by its id; None for one that is not known."""


class Relay:
    """Listens on loopback for connections that the network's supervisor diverts. ``token`` proves that it was it.

    ``trusted`` (PEM) are authorities to be trusted beside those of this host.
    """

    def __init__(self, outgoing_of: OutgoingOf, authority: Authority, token: str, trusted: str = "") -> None:
        self._outgoing_of = outgoing_of
        self._authority = authority
        self._token = token
        self._verifying = functools.cache(lambda: _verifying_context(trusted))
        self._listening: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str) -> int:
        """Listen on a port that is free, and return it."""
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setblocking(False)
        listening.bind((host, 0))
        listening.listen(_BACKLOG)
        self._listening = listening
        self._spawn(self._accept(listening))
        port: int = listening.getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError:
                # No descriptor left for another connection; some will be given back.
                await asyncio.sleep(_SILENCE_SECONDS)
                continue
            connection.setblocking(False)
            self._spawn(self._admit(connection))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _admit(self, connection: socket.socket) -> None:
        with connection:
            try:
                async with asyncio.timeout(_PREAMBLE_SECONDS):
                    told = await _read_diversion(connection)
                if hmac.compare_digest(told.token.encode(), self._token.encode()):
                    outgoing = self._outgoing_of(told.machine)
                    if outgoing is not None:
                        await _Passage(connection, told, outgoing, self._authority, self._verifying).run()
            except (OSError, TimeoutError, ValueError, EOFError, h11.ProtocolError) as error:
                _log.debug("a diverted connection ended: %s", error)
                _reset(connection)
            except Exception:
                _log.exception("a diverted connection could not be carried")
                _reset(connection)


class _Passage:
    """One connection from its first byte on."""

    def __init__(
        self,
        client: socket.socket,
        told: Diversion,
        outgoing: Outgoing,
        authority: Authority,
        verifying: Callable[[], ssl.SSLContext],
    ) -> None:
        self._client = client
        self._told = told
        self._outgoing = outgoing
        self._authority = authority
        self._verifying = verifying
        address = ip_address(told.host)
        self._is_forward = address in FORWARD_NETWORK
        # Of the rest of loopback the supervisor lets nothing through but the engine's edge.
        self._is_edge = address.is_loopback and not self._is_forward

    async def run(self) -> None:
        opening = await self._opening()
        rule = self._rule_for(opening.host) if opening.host else None
        if rule is not None and opening.speech is Speech.TLS:
            await self._carry_tls(normal(opening.host))
        elif rule is not None and opening.speech is Speech.HTTP and self._is_really(opening.host):
            await self._carry_http()
        else:
            await self._carry_bytes()

    async def _opening(self) -> Opening:
        """What the program says first, looked at only when some rule could depend on it."""
        if not any(rule.headers for rule in self._outgoing.rules):
            return Opening(Speech.OTHER)
        first = None if self._told.port in _CLIENT_FIRST else _SILENCE_SECONDS
        return await peek(self._client, first=first, rest=_OPENING_SECONDS)

    def _rule_for(self, host: str) -> HostRule | None:
        return self._outgoing.rule_for(host, self._told.port)

    def _is_really(self, host: str) -> bool:
        """Whether the machine was told this address for that name.

        Without TLS nothing else shows who is at the other end, and any program can write any Host header: secrets must
        not go wherever it likes. The edge is where all names below ``localhost`` lead, and goes by the header itself.
        """
        if self._is_edge and is_localhost(host):
            return True
        return normal(host) in {normal(name) for name in self._told.names}

    async def _carry_bytes(self) -> None:
        upstream = await self._connect()
        client = await _streams(self._client)
        try:
            await splice(client, upstream)
        finally:
            for _, writer in (client, upstream):
                writer.transport.abort()

    async def _carry_http(self) -> None:
        async def connect() -> Peer:
            return Peer(h11.CLIENT, *await self._connect())

        def rule_of(header: str) -> HostRule | None:
            name = without_port(header)
            return self._rule_for(name) if self._is_really(name) else None

        await self._serve(await _streams(self._client), connect, rule_of)

    async def _carry_tls(self, host: str) -> None:
        """Stand in for ``host`` towards the program, and be a client of the real one, whose certificate is checked."""

        async def connect() -> Peer:
            reader, writer = await self._connect()
            try:
                async with asyncio.timeout(_HANDSHAKE_SECONDS):
                    await writer.start_tls(self._verifying(), server_hostname=host)
            except BaseException:
                writer.transport.abort()
                raise
            return Peer(h11.CLIENT, reader, writer)

        def rule_of(header: str) -> HostRule | None:
            # The edge goes by the header: the rule of one sandbox's name must not be had for another's.
            is_same = not self._is_edge or normal(without_port(header)) == host
            return self._rule_for(host) if is_same else None

        client = await _streams(self._client, self._authority.context_for(host))
        await self._serve(client, connect, rule_of)

    async def _serve(
        self,
        streams: Streams,
        connect: Callable[[], Coroutine[None, None, Peer]],
        rule_of: Callable[[str], HostRule | None],
    ) -> None:
        client = Peer(h11.SERVER, *streams)
        try:
            await RequestCarrier(client, self._outgoing, connect, rule_of).run()
        finally:
            await _close(client.writer)

    async def _connect(self) -> Streams:
        """A connection to the destination, through the proxy if there is one."""
        proxy = self._outgoing.proxy
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                if proxy is not None and not (self._is_forward or self._is_edge):
                    return await connect_through(proxy, self._remote_name(), self._told.port, limit=READ_SIZE)
                # Nobody but this host knows the way to the engine's own forwards and its edge.
                return await asyncio.open_connection(self._told.host, self._told.port, limit=READ_SIZE)
        except TimeoutError as error:
            raise OSError("it did not answer in time") from error

    def _remote_name(self) -> str:
        """What the proxy is asked for: the name, where the machine may go there because of its name."""
        allowed = self._outgoing.allowed
        return next((name for name in self._told.names if allowed.match(name)), self._told.host)


async def _read_diversion(connection: socket.socket) -> Diversion:
    (length,) = diversion.LENGTH.unpack(await _exactly(connection, diversion.LENGTH.size))
    return diversion.decode(await _exactly(connection, length))


async def _exactly(connection: socket.socket, count: int) -> bytes:
    """Not one byte more: the rest is the program's, to be looked at first."""
    data = b""
    while len(data) < count:
        await readable(connection)
        piece = connection.recv(count - len(data))
        if not piece:
            raise EOFError("cut off")
        data += piece
    return data


async def _streams(connection: socket.socket, context: ssl.SSLContext | None = None) -> Streams:
    """The program's connection as streams, with our side of TLS if asked for."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_SIZE)
    protocol = asyncio.StreamReaderProtocol(reader)
    limit = None if context is None else _HANDSHAKE_SECONDS
    # The transport owns its socket; ours is closed when the passage ends.
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, connection.dup(), ssl=context, ssl_handshake_timeout=limit
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close in order, so that what was sent last arrives."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PREAMBLE_SECONDS):
            await writer.wait_closed()


def _verifying_context(trusted: str) -> ssl.SSLContext:
    """As programs of this host check certificates; ``SSL_CERT_FILE`` and the like count."""
    context = ssl.create_default_context()
    if trusted:
        context.load_verify_locations(cadata=trusted)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _reset(connection: socket.socket) -> None:
    """Have the program's connection break rather than end: nothing it sent has arrived."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
