"""Sandboxes: made, armed, and set up unit by unit; and the same units, one by one, when they change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from nexus.kinds.base import Unit
from nexus.model.changes import FieldDiff, Verb
from nexus.model.state import LOST
from nexus.planning.diff import top
from nexus.planning.evaluate import Evaluated
from nexus.planning.situation import Situation
from nexus.planning.work import Work

_NOTHING_TO_UNDO: Final = frozenset({"run_commands", "startup_script", "ready"})
"""Units that leave nothing of their own behind: what they did stays, and forgetting them is all."""

_UNDONE_BY: Final[Mapping[str, Verb]] = {
    "start": Verb.START,
    "uploads": Verb.UPLOAD,
    "npm": Verb.INSTALL,
    "pip": Verb.INSTALL,
    "apt": Verb.INSTALL,
    "env": Verb.SET_ENV,
}
"""The verb that undoes each unit which leaves something behind, in the order in which they are undone."""

_BY_CALL: Final = frozenset(
    {
        "timeout",
        "network",
        "env_vars",
        "packages",
        "uploads",
        "run_commands",
        "startup_script",
        "start_command",
        "ready",
    }
)
"""Fields that operations of their own bring about."""


class SandboxLowering:
    """See :class:`nexus.planning.lowering.Lowering`."""

    def create(self, evaluated: Evaluated, cause: str) -> list[Work]:
        """The environment travels with the create, and its time to live is given right after."""
        work = [Work(Verb.CREATE, cause=cause), Work(Verb.ARM, cause="it was made with a short lease")]
        for unit in evaluated.units:
            if unit.verb is not Verb.SET_ENV:
                work.append(Work(unit.verb, unit.name, _said(unit, "setup")))
        return work

    def update(self, evaluated: Evaluated, situation: Situation, fields: tuple[FieldDiff, ...]) -> list[Work]:
        changed = {top(diff.path) for diff in fields}
        work = [*_outside(situation, changed), *_inside(evaluated, situation)]
        if _is_to_be_remembered(evaluated, situation, changed):
            work.append(Work(Verb.RECORD, cause="remembered"))
        return work


def _outside(situation: Situation, changed: set[str]) -> Iterator[Work]:
    if "timeout" not in situation.record.attributes:
        yield Work(Verb.ARM, cause="setup was not finished")
    elif "timeout" in changed:
        yield Work(
            Verb.EXTEND, cause="timeout changed outside nexus" if "timeout" in situation.drifted else "timeout changed"
        )
    if "network" in changed:
        yield Work(Verb.SET_NETWORK, cause="network changed")


def _inside(evaluated: Evaluated, situation: Situation) -> Iterator[Work]:
    done, wanted = situation.record.setup, {unit.name for unit in evaluated.units}
    for name, verb in _UNDONE_BY.items():
        if name in done and name not in wanted:
            yield Work(verb, name, "not wanted any more")
    again: set[str] = set()
    for unit in evaluated.units:
        cause = _cause(unit, done, again)
        if cause is not None:
            again.add(unit.name)
            yield Work(unit.verb, unit.name, _said(unit, cause))


def _cause(unit: Unit, done: Mapping[str, str], again: set[str]) -> str | None:
    if unit.name not in done:
        return "not done yet"
    if done[unit.name] == LOST:
        return "changed inside the sandbox"
    if unit.digest is None:
        return f"{unit.field} may change"
    if done[unit.name] != unit.digest:
        return f"{unit.field} changed"
    earlier = next((name for name in unit.rerun_after if name in again), None)
    return None if earlier is None else f"after {earlier}"


def _said(unit: Unit, cause: str) -> str:
    return f"{cause}: {unit.note}" if unit.note else cause


def _is_to_be_remembered(evaluated: Evaluated, situation: Situation, changed: set[str]) -> bool:
    wanted = {unit.name for unit in evaluated.units}
    forgotten = (name for name in situation.record.setup if name not in wanted)
    return bool(changed - _BY_CALL) or any(name.partition("[")[0] in _NOTHING_TO_UNDO for name in forgotten)
