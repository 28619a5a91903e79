"""Idempotency keys of create requests: the same key gives the same answer, across lost answers and daemon crashes.

A key is written to disk *before* the machine starts, with the id the sandbox will have. What it holds of the answer has
no secrets: tokens are derived again from the sandbox's id when the answer is replayed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from nexus.local.clock import Clock
from nexus.local.documents import DocumentWriter, clear_leftovers, read_document
from nexus.local.errors import BusyError, ConflictError, InvalidRequestError, UnknownOutcomeError

LIFETIME = timedelta(days=1)
_KEY = re.compile(r"[a-z0-9-]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One key. ``answer`` is None while the request it belongs to is under way."""

    digest: str
    fingerprint: str
    sandbox_id: str
    at: datetime
    status: int | None = None
    answer: Mapping[str, object] | None = None


class IdempotencyLedger:
    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._claims: dict[str, Claim] = {}
        self._documents = DocumentWriter()

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(self._folder)
        for path in self._folder.glob("*.json"):
            document = read_document(path)
            if document is not None:
                claim = _decode(path.stem, document)
                self._claims[claim.digest] = claim

    def unfinished(self) -> list[Claim]:
        """Claims whose request was cut off by the end of the last daemon."""
        return [claim for claim in self._claims.values() if claim.status is None]

    async def claim(self, key: str, fingerprint: str, sandbox_id: str) -> Claim:
        """The finished claim to replay, or a new unfinished one, which the caller now has to finish or release.

        Raises ConflictError when the key is under way or was used for another request.
        """
        if _KEY.fullmatch(key) is None:
            raise InvalidRequestError(
                "Invalid Idempotency-Key: 1 to 255 lowercase letters, digits and hyphens are allowed"
            )
        await self._forget_old()
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        if existing := self._claims.get(digest):
            return _replayable(existing, fingerprint)
        claim = Claim(digest=digest, fingerprint=fingerprint, sandbox_id=sandbox_id, at=self._clock.now())
        self._claims[digest] = claim
        try:
            await self._documents.write(self._path(digest), _encode(claim))
        except OSError as error:
            del self._claims[digest]
            raise BusyError(f"the Idempotency-Key could not be kept: {error.strerror}", retry_after=1) from error
        except BaseException:
            del self._claims[digest]
            raise
        return claim

    async def finish(self, claim: Claim, status: int, answer: Mapping[str, object]) -> None:
        """Keep the answer for every later request with the same key."""
        finished = replace(claim, status=status, answer=answer)
        self._claims[claim.digest] = finished
        await self._documents.write(self._path(claim.digest), _encode(finished))

    async def release(self, claim: Claim) -> None:
        """Forget a claim whose request left nothing behind, so that the next one with this key starts afresh."""
        if self._claims.get(claim.digest) is not claim:
            # Another request has forgotten it meanwhile, and its key may have been claimed again.
            return
        del self._claims[claim.digest]
        await self._documents.remove(self._path(claim.digest))

    async def _forget_old(self) -> None:
        horizon = self._clock.now() - LIFETIME
        for claim in [claim for claim in self._claims.values() if claim.at < horizon and claim.status is not None]:
            await self.release(claim)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"


def lost_outcome() -> UnknownOutcomeError:
    """What later requests with the key of a request that a crash cut off are told."""
    return UnknownOutcomeError(
        "the outcome of the request with this Idempotency-Key is unknown: look for the sandbox, then use another key",
        error_code="idempotency_outcome_unknown",
    )


def _replayable(claim: Claim, fingerprint: str) -> Claim:
    if claim.fingerprint != fingerprint:
        raise ConflictError(
            "this Idempotency-Key was used for a different request", error_code="idempotency_request_mismatch"
        )
    if claim.status is None:
        raise ConflictError(
            "a request with this Idempotency-Key is still in progress",
            error_code="idempotency_in_progress",
            retry_after=1,
        )
    return claim


def _encode(claim: Claim) -> dict[str, object]:
    return {
        "fingerprint": claim.fingerprint,
        "sandbox_id": claim.sandbox_id,
        "at": claim.at.isoformat(),
        "status": claim.status,
        "answer": None if claim.answer is None else dict(claim.answer),
    }


def _decode(digest: str, document: Mapping[str, object]) -> Claim:
    status, answer = document["status"], document["answer"]
    return Claim(
        digest=digest,
        fingerprint=str(document["fingerprint"]),
        sandbox_id=str(document["sandbox_id"]),
        at=datetime.fromisoformat(str(document["at"])),
        status=status if isinstance(status, int) else None,
        answer=answer if isinstance(answer, dict) else None,
    )
