"""What every store refuses, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass

from nexus.model.diagnostics import DiagnosticsError, error
from nexus.stores.base import Header, JournalContents


@dataclass(frozen=True, slots=True)
class Version:
    """Which state it is. ``serial`` 0 stands for none at all."""

    lineage: str = ""
    serial: int = 0


def check_write(there: Version, expected: Version) -> None:
    """Raises DiagnosticsError when someone else has written since the state was read."""
    if there.serial and there.lineage != expected.lineage:
        raise DiagnosticsError(
            error(
                "state-foreign",
                "The state belongs to another lineage",
                detail=f"There is a state of lineage {there.lineage}; the one to be written is of {expected.lineage}.",
                hint="see which of the two projects this folder belongs to; «nexus state push» can replace a state",
            )
        )
    if there.serial != expected.serial:
        raise DiagnosticsError(
            error(
                "state-changed",
                "The state has changed meanwhile",
                detail=f"It has the serial {there.serial} where {expected.serial} was expected: another run wrote it.",
                hint="run the command again: what it did is in the journal and will be taken in",
            )
        )


def check_start(there: JournalContents | None, header: Header) -> None:
    """A journal may only take the place of one whose entries the state holds already."""
    if there is None or not there.entries:
        return
    if there.header.lineage != header.lineage or there.header.serial >= header.serial:
        raise DiagnosticsError(
            error(
                "journal-unresolved",
                "The journal holds what the state does not",
                detail="A run that was interrupted has left entries, and they were not taken into the state.",
                hint="this is a fault of nexus: please report it",
            )
        )
