"""One request from the moment its machine is known until it is answered, and how a kill or pause ends it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import h11

from nexus.local.edge.exchange import Exchange, HeaderList, UpstreamFailedError
from nexus.local.edge.peers import Peer, UpstreamPeer

_NOT_BEGUN_OR_WHOLE: Final = (h11.SEND_RESPONSE, h11.DONE, h11.MUST_CLOSE)


class CutShortError(Exception):
    """The sandbox was killed or paused while nothing of the answer had been sent: the client can still be told."""


class Carriage:
    """Connects to the machine and carries the request; :meth:`cut` may come at any time.

    With ``lose_answer`` the request is done, but its answer never arrives.
    """

    def __init__(self, client: Peer, request: h11.Request, headers: HeaderList, *, lose_answer: bool = False) -> None:
        self._client = client
        self._request = request
        self._headers = headers
        self._lose_answer = lose_answer
        self._connecting: asyncio.Task[UpstreamPeer] | None = None
        self._upstream: UpstreamPeer | None = None
        self._is_cut = False

    async def run(self, connect: Coroutine[Any, Any, UpstreamPeer]) -> None:
        """Raises OSError when ``connect`` does, UpstreamFailedError, or :class:`CutShortError`."""
        self._upstream = await self._connect(connect)
        try:
            exchange = Exchange(self._client, self._upstream, self._request, self._headers)
            await exchange.run(lose_answer=self._lose_answer)
        except UpstreamFailedError as error:
            if self._is_cut:
                raise CutShortError from error
            raise
        finally:
            self._upstream.close()

    def cut(self) -> None:
        """An answer that has begun ends without a proper end, which a client could take for success.

        One that is whole stays whole, and so does its connection, on which the client may have asked for more by now.
        """
        self._is_cut = True
        if self._client.http.our_state not in _NOT_BEGUN_OR_WHOLE:
            self._client.abort()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.abort()

    async def _connect(self, connect: Coroutine[Any, Any, UpstreamPeer]) -> UpstreamPeer:
        self._connecting = asyncio.create_task(connect)
        try:
            upstream = await self._connecting
        except asyncio.CancelledError:
            # Cancelled by the cut, and not because the whole edge is closing.
            if self._is_cut and self._connecting.cancelled():
                raise CutShortError from None
            self._connecting.cancel()
            raise
        finally:
            self._connecting = None
        if self._is_cut:
            upstream.close()
            raise CutShortError
        return upstream
