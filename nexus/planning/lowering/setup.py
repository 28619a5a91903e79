"""Shared setups: made by one call, and made anew beside the old one when what they consist of changes."""

from __future__ import annotations

from nexus.model.changes import Effect, FieldDiff, Verb
from nexus.planning.evaluate import Evaluated
from nexus.planning.lowering.plain import PlainLowering
from nexus.planning.situation import Situation
from nexus.planning.work import Work


class SetupLowering(PlainLowering):
    """See :class:`nexus.planning.lowering.Lowering`."""

    def update(self, evaluated: Evaluated, situation: Situation, fields: tuple[FieldDiff, ...]) -> list[Work]:
        if any(diff.effect is Effect.REBUILD for diff in fields):
            return [Work(Verb.BUILD, cause="what is set up changed")]
        return super().update(evaluated, situation, fields)
