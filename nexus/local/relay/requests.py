"""HTTP requests of a machine to a host with rules: carried on with the headers that the rules set."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable

import h11

from nexus.local.edge.exchange import Exchange, HeaderList, UpstreamFailedError, forwarded_headers
from nexus.local.edge.peers import Peer
from nexus.local.relay.model import HostRule
from nexus.local.relay.outgoing import Outgoing
from nexus.local.relay.placeholders import PlaceholderError

Connect = Callable[[], Awaitable[Peer]]
"""A new connection to the destination. Raises OSError."""


class RequestCarrier:
    """Answers one connection of a program. Every request gets a connection of its own to the destination.

    ``rule_of`` is the rule for a request, by its Host header.
    """

    def __init__(
        self, client: Peer, outgoing: Outgoing, connect: Connect, rule_of: Callable[[str], HostRule | None]
    ) -> None:
        self._client = client
        self._outgoing = outgoing
        self._connect = connect
        self._rule_of = rule_of

    async def run(self) -> None:
        """Until the program or an error ends the connection. Raises OSError, h11.ProtocolError."""
        while isinstance(request := await self._client.next_event(), h11.Request):
            await self._carry(request)
            if self._client.http.our_state is not h11.DONE or self._client.http.their_state is not h11.DONE:
                return
            self._client.http.start_next_cycle()

    async def _carry(self, request: h11.Request) -> None:
        try:
            headers = self._headers(request)
            upstream = await self._connect()
        except PlaceholderError as error:
            return await self._refuse(str(error))
        except ssl.SSLCertVerificationError as error:
            return await self._refuse(f"the certificate of the destination is not trusted: {error.verify_message}")
        except OSError as error:
            return await self._refuse(f"the destination cannot be reached: {error}")
        try:
            await Exchange(self._client, upstream, request, headers).run()
        except UpstreamFailedError as error:
            await self._refuse(f"the destination gave no answer: {error}")
        finally:
            upstream.abort()

    def _headers(self, request: h11.Request) -> HeaderList:
        host = next((value for name, value in request.headers if name == b"host"), b"")
        headers = forwarded_headers(request, host=host)
        rule = self._rule_of(host.decode("latin-1"))
        if rule is None:
            return headers
        added = self._outgoing.headers(rule)
        replaced = {name.lower() for name, _ in added}
        return [(name, value) for name, value in headers if name.lower() not in replaced] + added

    async def _refuse(self, message: str) -> None:
        """Say why, and let that be the last answer on the connection."""
        if self._client.http.our_state is not h11.SEND_RESPONSE:
            self._client.abort()
            return
        body = json.dumps({"code": 502, "message": f"nexus: {message}"}).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        with contextlib.suppress(h11.LocalProtocolError):
            await self._client.send(h11.Response(status_code=502, headers=headers))
            await self._client.send(h11.Data(data=body))
            await self._client.send(h11.EndOfMessage())
