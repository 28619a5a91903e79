"""How a run begins and ends with its stores: read both, and at the end make one of them."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace

from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error, warning
from nexus.model.state import State
from nexus.stores.base import Backend, JournalContents
from nexus.stores.fold import fold, without_unused_trees


@dataclass(frozen=True, slots=True)
class Loaded:
    """The state with the journal folded in. ``interrupted``: the run before did not come to its end.

    Its ``state.pending`` may then hold intents that have to be resolved.
    """

    state: State
    interrupted: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()


async def load(backend: Backend, fresh: State) -> Loaded:
    """What is known now. Changes nothing and needs no lock.

    ``fresh`` is the empty state of serial 0 to begin with when there is none; its lineage gives way to that of a
    journal whose run ended before it could write a first state. Raises DiagnosticsError when the two don't belong
    together.
    """
    # The journal first: when a run ends meanwhile, the state is newer than the journal, and that is recognised.
    journal = await backend.journal.read()
    state = await backend.states.read()
    if state is None:
        state = _born_of(journal, fresh)
    if journal is None or _is_spent(journal, state):
        return Loaded(state)
    notes = (_interruption(journal),) if journal.entries else ()
    return Loaded(fold(state, journal.entries), bool(journal.entries), notes)


async def commit(backend: Backend, state: State) -> State:
    """Write ``state`` with the next serial, then forget the journal; the written state.

    A crash between the two is harmless: the journal then continues an older serial than the state has.
    """
    written = replace(without_unused_trees(state), serial=state.serial + 1)
    await backend.states.write(written, expected_serial=state.serial)
    await backend.journal.clear()
    return written


def fingerprint_key(lineage: str) -> bytes:
    """The key of a state's fingerprints: equal secrets of two projects have different ones."""
    return hmac.new(lineage.encode(), b"nexus fingerprint", hashlib.sha256).digest()


def _born_of(journal: JournalContents | None, fresh: State) -> State:
    if journal is None or journal.header.serial != 0:
        return fresh
    header = journal.header
    return replace(
        fresh,
        lineage=header.lineage,
        project=header.project,
        environment=header.environment,
        target=header.target,
    )


def _is_spent(journal: JournalContents, state: State) -> bool:
    """Whether the state holds the journal already. Raises DiagnosticsError when it can't be the journal of it."""
    header = journal.header
    if header.lineage == state.lineage and header.serial <= state.serial:
        return header.serial < state.serial
    if not journal.entries:
        return True
    raise DiagnosticsError(
        error(
            "journal-foreign",
            "The journal does not belong to the state",
            detail=(
                f"The journal continues serial {header.serial} of lineage {header.lineage}; "
                f"the state has serial {state.serial} of lineage {state.lineage}. Perhaps an older state was put back."
            ),
            hint="put back the state that belongs to it, or move the journal aside and run «nexus state rebuild»",
        )
    )


def _interruption(journal: JournalContents) -> Diagnostic:
    count = len(journal.entries)
    return warning(
        "run-interrupted",
        "The last run did not come to its end",
        detail=f"What it had done is in the journal ({count} {'entry' if count == 1 else 'entries'}) and was taken in.",
    )
