"""From «this is to be made» or «these fields differ» to operations; one module for each kind that has its own ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from nexus.model.changes import FieldDiff
from nexus.planning.evaluate import Evaluated
from nexus.planning.lowering import plain, sandbox, setup, step, template
from nexus.planning.situation import Situation
from nexus.planning.work import Work


class Lowering(Protocol):
    """How one kind is made and changed."""

    def create(self, evaluated: Evaluated, cause: str) -> list[Work]:
        """What makes the object, from nothing to the end of its setup."""

    def update(self, evaluated: Evaluated, situation: Situation, fields: tuple[FieldDiff, ...]) -> list[Work]:
        """What brings the live object to what is wanted without making it anew; nothing when nothing is to be done."""


LOWERINGS: Final[Mapping[str, Lowering]] = {
    "volume": plain.PlainLowering(),
    "catalogue": plain.PlainLowering(),
    "template": template.TemplateLowering(),
    "setup": setup.SetupLowering(),
    "sandbox": sandbox.SandboxLowering(),
    "step": step.StepLowering(),
}
