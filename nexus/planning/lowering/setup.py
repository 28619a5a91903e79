"""Shared setups: made by one call, and made anew beside the old one when what they consist of changes."""

from __future__ import annotations

from nexus.model.changes import Effect, FieldDiff, Verb
from nexus.planning.evaluate import Evaluated
from nexus.planning.situation import Situation
from nexus.planning.work import Work


class SetupLowering:
    """See :class:`nexus.planning.lowering.Lowering`."""

    def create(self, evaluated: Evaluated, cause: str) -> list[Work]:  # noqa: ARG002
        return [Work(Verb.CREATE, cause=cause)]

    def update(
        self,
        evaluated: Evaluated,  # noqa: ARG002
        situation: Situation,  # noqa: ARG002
        fields: tuple[FieldDiff, ...],
    ) -> list[Work]:
        if any(diff.effect is Effect.REBUILD for diff in fields):
            return [Work(Verb.BUILD, cause="what is set up changed")]
        return [Work(Verb.RECORD, cause="remembered")] if fields else []
