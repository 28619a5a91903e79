"""What every handler works with: the connection, the sandboxes that are open, the clock, and typed specs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from nexus.model.state import ResourceRecord
from nexus.providers.base import Call
from nexus.providers.e2b import errors
from nexus.providers.e2b.connection import Connection
from nexus.providers.e2b.inside import Sandboxes
from nexus.providers.results import Results

SpecT = TypeVar("SpecT")


@dataclass(frozen=True, slots=True)
class World:
    """``now`` is the wall clock, in UTC. ``results`` keeps what steps left, where there is somebody to keep it."""

    connection: Connection
    sandboxes: Sandboxes
    now: Callable[[], datetime]
    results: Results | None = None

    def moment(self, seconds: float = 0.0) -> str:
        """The time in so many seconds, as records keep it."""
        return timestamp(self.now() + timedelta(seconds=seconds))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def moment_of(text: str) -> datetime:
    """Inverse of :func:`timestamp`."""
    return datetime.fromisoformat(text)


def spec_of(call: Call, kind: type[SpecT]) -> SpecT:
    """The call's spec, which its verb needs. Raises ProviderError when the executor gave none: a fault of nexus."""
    if not isinstance(call.spec, kind):
        raise errors.failure(
            "missing-spec",
            "An operation came without what it needs",
            detail=f"{call.operation} needs a {kind.__name__}. This is a fault in nexus.",
            address=str(call.address),
        )
    return call.spec


def record_of(call: Call) -> ResourceRecord:
    """The record of the object that the call is about. Raises ProviderError likewise."""
    if call.record is None or not call.record.id:
        raise errors.failure(
            "missing-record",
            "An operation is about an object that nobody has a record of",
            detail=f"{call.operation} comes before the object was made. This is a fault in nexus.",
            address=str(call.address),
        )
    return call.record


def unsupported(call: Call) -> Exception:
    """For verbs that a kind does not have."""
    return errors.failure(
        "unsupported-operation",
        f"A {call.address.kind} can't do this",
        detail=f"{call.operation.verb} means nothing for {call.address}. This is a fault in nexus.",
        address=str(call.address),
    )
