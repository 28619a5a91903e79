"""Templates: build inputs mean a new build, to which the tags move when it is ready."""

from __future__ import annotations

from nexus.model.changes import Effect, FieldDiff, Verb
from nexus.planning.diff import top
from nexus.planning.evaluate import Evaluated
from nexus.planning.situation import Situation
from nexus.planning.work import Work

_BY_CALL = {"tags": Verb.SET_TAGS, "public": Verb.SET_PUBLIC}


class TemplateLowering:
    """See :class:`nexus.planning.lowering.Lowering`."""

    def create(self, evaluated: Evaluated, cause: str) -> list[Work]:
        work = [Work(Verb.CREATE, cause=cause)]
        if evaluated.concealed.get("tags"):
            work.append(Work(Verb.SET_TAGS, cause="tags point at the first build"))
        if evaluated.concealed.get("public"):
            work.append(Work(Verb.SET_PUBLIC, cause="public"))
        return work

    def update(
        self,
        evaluated: Evaluated,
        situation: Situation,  # noqa: ARG002
        fields: tuple[FieldDiff, ...],
    ) -> list[Work]:
        changed = {top(diff.path) for diff in fields}
        rebuilt = any(diff.effect is Effect.REBUILD for diff in fields)
        work: list[Work] = []
        if rebuilt:
            work.append(Work(Verb.BUILD, cause="build inputs changed"))
        if "tags" in changed or (rebuilt and evaluated.concealed.get("tags")):
            cause = "tags changed" if "tags" in changed else "tags move to the new build"
            work.append(Work(Verb.SET_TAGS, cause=cause))
        if "public" in changed:
            work.append(Work(Verb.SET_PUBLIC, cause="public changed"))
        if not rebuilt and changed - _BY_CALL.keys():
            work.append(Work(Verb.RECORD, cause="remembered"))
        return work
