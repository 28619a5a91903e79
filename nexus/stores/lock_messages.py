"""What is told about a lock, of whatever kind: who holds it, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

from nexus.model.diagnostics import Diagnostic, error
from nexus.stores.base import LockInfo


def locked(info: LockInfo | None, now: datetime | None = None) -> Diagnostic:
    """What to tell the second one."""
    if info is None:
        detail, unlock = "Another run of nexus holds the lock, and does not say which.", ""
    else:
        detail = f"{_who(info)} is running «nexus {info.operation}» since {info.since}, for {_age(info.since, now)}."
        unlock = f"; should it hang for good: nexus state unlock {info.id}" if info.id else ""
    return error(
        "state-locked",
        "The state is locked",
        detail=detail,
        hint=f"wait until it has ended, or give --lock-timeout 5m to wait for it{unlock}",
    )


def lost(info: LockInfo | None) -> Diagnostic:
    """What to tell a run whose lock is not its own any more."""
    who = (
        "It was removed, or given free with «nexus state unlock»."
        if info is None
        else f"{_who(info)} took it over for «nexus {info.operation}» at {info.since}."
    )
    return error(
        "lock-lost",
        "The lock was lost",
        detail=f"{who} Nothing new was begun from then on, so that two runs don't get in each other's way.",
        hint="run the command again: what was done is in the journal, or is found by the marks on what was made",
    )


def fenced_off() -> Diagnostic:
    """What to tell a holder that was replaced without knowing."""
    return error(
        "lock-lost",
        "The lock was lost",
        detail="Another run has taken it over, and with it the state and the journal. "
        "Nothing was written or begun from then on.",
        hint="run the command again: what was done is in the journal, or is found by the marks on what was made",
    )


def not_that_lock(lock_id: str, info: LockInfo) -> Diagnostic:
    return error(
        "lock-mismatch",
        "The state is locked by another run than that",
        detail=f"The lock {info.id or 'without an id'} is held, not {lock_id}: {_who(info)} is running "
        f"«nexus {info.operation}» since {info.since}.",
        hint="give the id of this lock if it is the one that hangs, or --force whatever it is",
    )


def busy(info: LockInfo | None) -> Diagnostic:
    """What to tell who wants to write, or to take a lock away, at a moment when somebody else is about to."""
    if info is None:
        who, hint = "Another run of nexus", "run the command again"
    else:
        who = f"{_who(info)}, which is running «nexus {info.operation}» since {info.since},"
        hint = f"let it go on (kill -CONT {info.pid}), or end it (kill -9 {info.pid}): its lock ends with it"
    return error(
        "lock-busy",
        "The holder of the lock is in the middle of a write",
        detail=f"{who} writes the state or the journal right now. It may be suspended.",
        hint=hint,
    )


def _who(info: LockInfo) -> str:
    return f"{info.holder} (process {info.pid})"


def _age(since: str, now: datetime | None) -> str:
    try:
        seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(since)).total_seconds())
    except (ValueError, TypeError):
        return "a while"
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{max(seconds, 0)} s"
