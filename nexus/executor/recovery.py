"""The first thing an apply does: find out what became of the creates that an earlier run was interrupted in.

Decided by machine, never a question: what is found is adopted, what was made twice is removed once, what is not there
is waited for as long as it could still appear, and then forgotten. Runs before planning, under the lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from nexus.executor.calling import double_removed
from nexus.model.changes import Verb
from nexus.model.diagnostics import Diagnostic, warning
from nexus.model.state import Intent, ResourceRecord, State
from nexus.providers.base import LEASE_SECONDS, Found, Provider
from nexus.stores.entries import Done, Entry, Failed
from nexus.stores.fold import fold

LEASE: Final = timedelta(seconds=LEASE_SECONDS)

GRACE: Final = timedelta(seconds=90)
"""How long after its lease a create may still turn up: longer than any request takes."""

_MAY_HAVE_RUN: Final = (Verb.RUN_STEP, Verb.RUN_COMMAND)


@dataclass(frozen=True, slots=True)
class Recovered:
    """The state with every decision taken, to be committed before a plan is made on it."""

    state: State
    diagnostics: tuple[Diagnostic, ...] = ()


async def recover(provider: Provider, state: State, now: datetime) -> Recovered:
    """Resolve the intents in ``state.pending``. Raises ProviderError when it can't be seen what is out there.

    May be cut off at any point and done again: until the state is committed nothing is decided, and what was removed
    stays removed.
    """
    if not state.pending:
        return Recovered(state)
    creates = [intent for intent in state.pending if intent.verb == Verb.CREATE]
    found = await provider.find(state, creates) if creates else {}
    entries: list[Entry] = []
    diagnostics = [_may_have_run(intent) for intent in state.pending if intent.verb in _MAY_HAVE_RUN]
    entries.extend(_closed(intent) for intent in state.pending if intent.verb != Verb.CREATE)
    for intent in creates:
        made_since = _made_since(intent, state)
        kept, doubles = _sorted_out(intent, found.get(intent.key, ()), made_since)
        for double in doubles:
            await provider.discard(intent, double)
            diagnostics.append(double_removed(intent, double.id))
        for entry, diagnostic in _decision(
            intent, kept, now, is_over=made_since is not None and bool(found.get(intent.key))
        ):
            entries.append(entry)
            if diagnostic is not None:
                diagnostics.append(diagnostic)
    return Recovered(fold(state, entries), tuple(diagnostics))


def _made_since(intent: Intent, state: State) -> ResourceRecord | None:
    """What a later create has made at the same address, because this one had not turned up by then."""
    current = state.resources.get(intent.address)
    if current is None or current.uid == intent.uid:
        return None
    try:
        is_later = datetime.fromisoformat(current.created_at) > datetime.fromisoformat(intent.started_at)
    except ValueError:
        return None
    return current if is_later else None


def _sorted_out(
    intent: Intent, found: Sequence[Found], made_since: ResourceRecord | None
) -> tuple[Found | None, Sequence[Found]]:
    """The one to keep (the oldest), and those that are too many: all of them, where another one is in their place."""
    if intent.draft is None:
        return None, ()
    if made_since is not None:
        return None, [item for item in found if item.id != made_since.id]
    whole = [item for item in found if item.complete]
    return (whole[0], whole[1:]) if whole else (None, ())


def _decision(
    intent: Intent, kept: Found | None, now: datetime, *, is_over: bool
) -> Iterator[tuple[Entry, Diagnostic | None]]:
    if kept is not None and intent.draft is not None:
        record = replace(
            intent.draft,
            id=kept.id,
            outputs=kept.outputs,
            created_at=kept.created_at,
            expires_at=kept.expires_at,
        )
        yield Done(key=intent.key, record=record), _adopted(intent, kept)
    elif is_over or intent.draft is None:  # of what is in no state, such as a catalogue template, nothing is kept
        yield _closed(intent), None
    elif _is_past(intent, now):
        yield _closed(intent), _forgotten(intent)


def _is_past(intent: Intent, now: datetime) -> bool:
    """Whether it can't turn up any more. Meanwhile a create of the same thing repeats it, with its key."""
    try:
        started_at = datetime.fromisoformat(intent.started_at)
    except ValueError:
        return True
    return now - started_at > LEASE + GRACE


def _closed(intent: Intent) -> Failed:
    return Failed(key=intent.key, code="interrupted", summary="The run was interrupted")


def _adopted(intent: Intent, found: Found) -> Diagnostic:
    return warning(
        "create-adopted",
        "A resource that an interrupted run had made was taken over",
        detail=f"The run before ended while it created {intent.address}; {found.id} is what it made.",
        address=str(intent.address),
    )


def _forgotten(intent: Intent) -> Diagnostic:
    return warning(
        "create-forgotten",
        "A create that an interrupted run had begun came to nothing",
        detail=f"The run before ended while it created {intent.address}; nothing of it is out there.",
        address=str(intent.address),
    )


def _may_have_run(intent: Intent) -> Diagnostic:
    what = f"{intent.unit} of {intent.address}" if intent.unit else str(intent.address)
    return warning(
        "interrupted-while-running",
        "Something was running when the last run was interrupted",
        detail=f"Part of {what} may have been done; it will be run again from its beginning.",
        address=str(intent.address),
    )
