"""Volumes and templates of the catalogue: made by one call, and nothing to change about them afterwards."""

from __future__ import annotations

from nexus.model.changes import FieldDiff, Verb
from nexus.planning.evaluate import Evaluated
from nexus.planning.situation import Situation
from nexus.planning.work import Work


class PlainLowering:
    """See :class:`nexus.planning.lowering.Lowering`."""

    def create(self, evaluated: Evaluated, cause: str) -> list[Work]:  # noqa: ARG002
        return [Work(Verb.CREATE, cause=cause)]

    def update(
        self,
        evaluated: Evaluated,  # noqa: ARG002
        situation: Situation,  # noqa: ARG002
        fields: tuple[FieldDiff, ...],
    ) -> list[Work]:
        return [Work(Verb.RECORD, cause="remembered")] if fields else []
