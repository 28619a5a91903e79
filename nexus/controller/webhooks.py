"""Posts what happens to those who want to know: JSON, signed, tried again for a while, never in the way of the work.

The signature is an HMAC of the body with SHA-256, in the header ``X-Nexus-Signature-256`` as ``sha256=HEX``. A delivery
keeps its ``X-Nexus-Delivery`` when it is tried again, so that whoever hears of it twice can tell.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import httpx

import nexus
from nexus.controller.documents import notice_to_json
from nexus.controller.settings import WebhookSettings
from nexus.controller.status import Notice

_PAUSES: Final = (1.0, 5.0, 25.0, 125.0)
"""Seconds before each further attempt."""
_PATIENCE: Final = 10.0
_MOST_WAITING: Final = 1000
_FAREWELL: Final = 5.0
"""Seconds that are left, at the end, for what has not been delivered yet."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice for one receiver."""

    id: str
    kind: str
    body: bytes


class Webhook:
    """One receiver: deliveries in their order. ``told`` hears how each ended, and who it was for, without secrets."""

    def __init__(
        self,
        settings: WebhookSettings,
        told: Callable[[str, bool], None],
        *,
        client: httpx.AsyncClient | None = None,
        pauses: Iterable[float] = _PAUSES,
        farewell: float = _FAREWELL,
    ) -> None:
        self._settings = settings
        self._told = told
        self._client = client
        self._pauses = tuple(pauses)
        self._farewell = farewell
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue(_MOST_WAITING)
        self._left = 0
        parts = urlsplit(settings.url)
        self.name = parts.hostname or "webhook"  # the rest of the address is a secret with many receivers

    def tell(self, notice: Notice) -> None:
        """Deliver it, soon. One too many is given up at once."""
        if self._settings.kinds and notice.kind.value not in self._settings.kinds:
            return
        body = json.dumps(notice_to_json(notice), ensure_ascii=False).encode()
        try:
            self._queue.put_nowait(Delivery(uuid.uuid4().hex, notice.kind.value, body))
        except asyncio.QueueFull:
            self._told(self.name, False)
        else:
            self._left += 1

    async def deliver(self) -> None:
        """Deliver whatever comes, until cancelled."""
        client = self._client or httpx.AsyncClient(timeout=_PATIENCE, follow_redirects=False)
        async with client:
            while True:
                delivery = await self._queue.get()
                try:
                    self._told(self.name, await self._delivered(client, delivery))
                finally:
                    self._queue.task_done()
                self._left -= 1

    async def finish(self) -> int:
        """Wait for what is still to be delivered, but not for long. How many deliveries are given up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._farewell):
                await self._queue.join()
        return self._left

    async def _delivered(self, client: httpx.AsyncClient, delivery: Delivery) -> bool:
        for pause in (*self._pauses, None):
            try:
                answer = await client.post(self._settings.url, content=delivery.body, headers=self._headers(delivery))
            except (httpx.HTTPError, httpx.InvalidURL):
                pass
            else:
                if answer.is_success:
                    return True
                if answer.is_client_error and answer.status_code not in _WORTH_ANOTHER:
                    return False  # it would say the same again
            if pause is not None:
                await asyncio.sleep(pause)
        return False

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"nexus/{nexus.__version__}",
            "X-Nexus-Event": delivery.kind,
            "X-Nexus-Delivery": delivery.id,
        }
        if self._settings.secret:
            headers["X-Nexus-Signature-256"] = signature(self._settings.secret, delivery.body)
        return headers


_WORTH_ANOTHER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


def signature(secret: str, body: bytes) -> str:
    """What a receiver compares, in constant time, with the header."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
