"""Create requests: at most one sandbox per idempotency key, whatever is lost on the way.

The request is carried out in a task of its own: a client that goes away does not leave a half-made sandbox behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass

from nexus.local.control_plane.bodies import Fields
from nexus.local.control_plane.sandbox_wire import Json, SandboxWire
from nexus.local.control_plane.wire_errors import error_body
from nexus.local.errors import EngineError
from nexus.local.sandboxes.idempotency import Claim, IdempotencyLedger, lost_outcome
from nexus.local.sandboxes.model import NetworkSettings, SandboxRequest
from nexus.local.sandboxes.service import SandboxService, new_sandbox_id


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Mapping[str, object]

    def content(self) -> Json:
        """The body in an order of its own, so that a replay is the same word for word."""
        return dict(sorted(self.body.items()))


class Creator:
    """``secret`` keys the fingerprints of requests, which may hold secrets of few bits."""

    def __init__(self, service: SandboxService, ledger: IdempotencyLedger, wire: SandboxWire, secret: bytes) -> None:
        self._service = service
        self._ledger = ledger
        self._wire = wire
        self._secret = secret
        self._tasks: set[asyncio.Task[Answer]] = set()

    async def create(self, parse: Callable[[], SandboxRequest], fields: Fields, key: str | None) -> Answer:
        """The answer of this request, or the first one's when ``key`` was used before.

        ``parse`` checks the body; with a key its refusals are remembered like other answers.
        """
        if key is None:
            return await self._in_task(self._create(parse(), new_sandbox_id()))
        claim = await self._ledger.claim(key, self._fingerprint(parse, fields), new_sandbox_id())
        if claim.status is not None:
            return self._replay(claim)
        return await self._in_task(self._create_claimed(parse, claim))

    async def resolve_unfinished(self) -> None:
        """After a restart: the answer is known of claims whose sandbox is there, and lost of the others.

        Theirs was cut off before it was made, or has ended since. Nothing is left of it, but a client that got the
        first answer may have seen it: it is not made again under the same key.
        """
        for claim in self._ledger.unfinished():
            live = self._service.fleet.get(claim.sandbox_id)
            if live is None:
                lost = lost_outcome()
                await self._ledger.finish(claim, lost.status, error_body(lost))
            else:
                kept = _kept(self._wire.created_without_tokens(live.record), live.record.network)
                await self._ledger.finish(claim, 201, kept)

    async def _create(self, request: SandboxRequest, sandbox_id: str) -> Answer:
        return Answer(201, self._wire.created(await self._service.create(request, sandbox_id)))

    async def _create_claimed(self, parse: Callable[[], SandboxRequest], claim: Claim) -> Answer:
        try:
            request = parse()
            answer = await self._create(request, claim.sandbox_id)
        except EngineError as error:
            if not 400 <= error.status < 500 or error.status == 429:
                await self._ledger.release(claim)
            else:
                refusal = error_body(error)
                await self._ledger.finish(claim, error.status, refusal)
                return Answer(error.status, refusal)
            raise
        except BaseException:
            await self._ledger.release(claim)
            raise
        # Outside the try: once the sandbox exists the claim must stay, or a retry would make a second one.
        body = {key: value for key, value in answer.body.items() if not key.endswith("Token")}
        await self._ledger.finish(claim, 201, _kept(body, request.network))
        return answer

    def _replay(self, claim: Claim) -> Answer:
        body = dict(claim.answer or {})
        if claim.status == 201:
            public = NetworkSettings(allow_public_traffic=bool(body.pop("public")))
            body.update(self._wire.tokens(claim.sandbox_id, public))
        return Answer(claim.status or 500, body)

    async def _in_task(self, work: Coroutine[None, None, Answer]) -> Answer:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    def _fingerprint(self, parse: Callable[[], SandboxRequest], fields: Fields) -> str:
        """Of the parsed request, so that key order and unknown fields do not matter; of the body when it is refused."""
        try:
            content: object = asdict(parse())
        except EngineError:
            content = fields.raw()
        text = json.dumps(["POST /v2/sandboxes", content], sort_keys=True, default=str)
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


def _kept(body: Json, network: NetworkSettings) -> Json:
    return {**body, "public": network.allow_public_traffic}
