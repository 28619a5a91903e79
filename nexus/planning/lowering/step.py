"""Steps: one run, when what it is made of changed."""

from __future__ import annotations

from nexus.model.changes import FieldDiff, Verb
from nexus.planning.evaluate import Evaluated
from nexus.planning.situation import Situation
from nexus.planning.work import Work

UNIT = "run"


class StepLowering:
    """See :class:`nexus.planning.lowering.Lowering`. Making a step is running it for the first time."""

    def create(self, evaluated: Evaluated, cause: str) -> list[Work]:  # noqa: ARG002
        return [Work(Verb.RUN_STEP, cause=cause)]

    def update(self, evaluated: Evaluated, situation: Situation, fields: tuple[FieldDiff, ...]) -> list[Work]:
        if is_due(evaluated, situation):
            return [Work(Verb.RUN_STEP)]
        return [Work(Verb.RECORD, cause="remembered")] if fields else []


def is_due(evaluated: Evaluated, situation: Situation) -> bool:
    """Whether it never ended well, or what it is made of is another thing now, or may be."""
    done = situation.record.setup.get(UNIT)
    return done is None or any(unit.digest is None or unit.digest != done for unit in evaluated.units)
