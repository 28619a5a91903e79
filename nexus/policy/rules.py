"""Rules as the manifest means them, read and checked: what the judge is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nexus.graph.blocks import expressions_in
from nexus.model.addresses import Address
from nexus.model.diagnostics import Severity, SourceRange
from nexus.model.expressions import Raw
from nexus.model.values import Value


class Subject(StrEnum):
    """What a rule looks at, one after the other; in its expressions each is ``self``."""

    SANDBOX = "sandbox"
    TEMPLATE = "template"
    VOLUME = "volume"
    STEP = "step"
    CHANGE = "change"
    PLAN = "plan"

    @property
    def is_kind(self) -> bool:
        """Whether it stands for the resources of a kind."""
        return self not in (Subject.CHANGE, Subject.PLAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Where ``condition`` is true of a subject, the rule is broken, and ``message`` is said with this ``severity``.

    ``use`` names the shipped rule that it comes from, "" for one of the user's own. ``parameters`` are then what
    ``vars`` stands for; None leaves it to mean the project's variables. ``excepted`` resources are left alone.
    ``source`` is where the policy stands, ``condition_source`` where its condition or its parameter does.
    """

    name: str
    subject: Subject
    severity: Severity
    condition: Raw
    message: Raw
    hint: str = ""
    use: str = ""
    parameters: Mapping[str, Value] | None = None
    excepted: tuple[Address, ...] = ()
    source: SourceRange | None = None
    condition_source: SourceRange | None = field(default=None, compare=False)

    def spares(self, address: Address) -> bool:
        return any(item.covers(address) for item in self.excepted)

    @property
    def asked(self) -> Iterator[tuple[str | int, ...]]:
        """The parts of ``self`` that the condition looks at, in the order in which it names them."""
        for expression in expressions_in(self.condition):
            yield from (reference.path for reference in expression.references if reference.root == "self")
