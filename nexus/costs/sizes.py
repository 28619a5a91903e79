"""How large sandboxes are: E2B allots CPUs and memory by template, and most templates are declared where we can see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nexus.kinds import catalogue_builds
from nexus.kinds.definitions import DEFINITIONS
from nexus.model.addresses import Address
from nexus.model.costs import Size
from nexus.model.observation import Observed
from nexus.model.state import State
from nexus.model.values import Attributes, Value
from nexus.planning import Evaluation
from nexus.planning.situation import SIZE_FACT

BUILT: Final = Size(cpus=2, memory=1024)
"""What E2B gives a build that does not say. Also what is assumed of templates that nobody here knows."""


class Sizes:
    """What is known of the sizes of one plan's templates, by the references that sandboxes are made from."""

    def __init__(self, state: State, evaluation: Evaluation) -> None:
        self._by_reference = {
            catalogue_builds.reference(item): Size(BUILT.cpus, item.memory or BUILT.memory)
            for item in DEFINITIONS.values()
        }
        self._wanted: dict[Address, Size | None] = {}
        for record in state.resources.values():
            if record.address.kind == "template":
                self._learn(record.attributes)
        for evaluated in evaluation.evaluated():
            if evaluated.spec.address.kind == "template":
                self._wanted[evaluated.spec.address] = self._learn(evaluated.concealed)

    def _learn(self, template: Attributes) -> Size | None:
        size = _size(template.get("cpu"), template.get("memory"))
        reference = template.get("reference")
        if size is not None and isinstance(reference, str):
            self._by_reference[reference] = size
        return size

    def of(self, template: Value, needs: Iterable[Address] = ()) -> Size | None:
        """That of sandboxes made from ``template``; None where it is neither ours nor the catalogue's.

        Where the reference is not known yet, the one declared template among ``needs`` tells.
        """
        if isinstance(template, str):
            return self._by_reference.get(template)
        declared = [self._wanted[address] for address in needs if address in self._wanted]
        return declared[0] if len(declared) == 1 else None


def observed_size(seen: Observed | None) -> Size | None:
    """What E2B itself says of a live sandbox."""
    match None if seen is None else seen.facts.get(SIZE_FACT):
        case [int(cpus), int(memory)]:
            return Size(cpus, memory)
        case _:
            return None


def _size(cpus: Value, memory: Value) -> Size | None:
    """None where one of both depends on what is not known yet."""
    cpus, memory = cpus or BUILT.cpus, memory or BUILT.memory
    return Size(cpus, memory) if isinstance(cpus, int) and isinstance(memory, int) else None
