"""Words between the planner's stages: what was decided of one address, and what is to be done for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus.model.addresses import Address
from nexus.model.changes import Action, FieldDiff, Verb
from nexus.model.diagnostics import SourceRange
from nexus.model.resources import OnDestroy
from nexus.model.state import ResourceRecord
from nexus.planning.evaluate import Evaluated
from nexus.planning.situation import Situation


@dataclass(frozen=True, slots=True)
class Work:
    """One operation to be, without its place among others."""

    verb: Verb
    unit: str = ""
    cause: str = ""
    force: bool = False


@dataclass(slots=True, kw_only=True)
class Decision:
    """What happens to one address. ``work`` is done in order, on the new object where there is one.

    ``removed`` is the incarnation that goes, by ``removal`` and as ``on_destroy`` says: before the work, or after
    everything when ``create_first``. ``anew`` says that the object will be another one than before.
    """

    address: Address
    action: Action | None = None
    cause: str = ""
    fields: tuple[FieldDiff, ...] = ()
    data_loss: bool = False
    source: SourceRange | None = None
    evaluated: Evaluated | None = None
    situation: Situation | None = None
    work: list[Work] = field(default_factory=list)
    removed: ResourceRecord | None = None
    removal: Verb = Verb.DELETE
    on_destroy: OnDestroy = OnDestroy.KILL
    create_first: bool = False

    @property
    def removal_unit(self) -> str:
        """What the removal does besides, as operations say it."""
        return "" if self.on_destroy is OnDestroy.KILL or self.removal is not Verb.DELETE else self.on_destroy.value

    @property
    def anew(self) -> bool:
        return self.action in (Action.CREATE, Action.REPLACE)

    @property
    def replaces(self) -> bool:
        return self.action is Action.REPLACE
