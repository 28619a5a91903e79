"""What rules found, as diagnostics: instances of a block that break the same rule in the same place are one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, Severity, SourceRange
from nexus.policy.rules import Rule

_MOST_NAMED: Final = 5


class Answer(Enum):
    """What a rule says of one thing that it looks at."""

    KEPT = auto()
    BROKEN = auto()
    OPEN = auto()  # it depends on what is not known before apply


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that is broken, or can't be told yet. ``address`` is None where it is about the plan as a whole."""

    rule: Rule
    answer: Answer
    message: str
    address: Address | None
    place: SourceRange | None


def diagnostics_of(findings: Iterable[Finding], *, at_apply: bool = False) -> Iterator[Diagnostic]:
    """``at_apply`` says that everything should be known by now: what is not, is treated as if the rule was broken."""
    groups: dict[object, list[Finding]] = {}
    for item in findings:
        place = None if item.answer is Answer.OPEN else item.place
        groups.setdefault((item.rule.name, item.rule.severity, item.answer, item.message, place), []).append(item)
    for members in groups.values():
        yield _diagnostic(members, at_apply=at_apply)


def _diagnostic(members: list[Finding], *, at_apply: bool) -> Diagnostic:
    first, rule = members[0], members[0].rule
    addresses = [item.address for item in members if item.address is not None]
    others = _others(addresses[1:])
    policy = f"the policy {rule.name}" + (f" ({rule.source})" if rule.source else "")
    address = str(addresses[0]) if addresses else ""
    if first.answer is Answer.BROKEN:
        denies = rule.severity is Severity.ERROR
        return Diagnostic(
            severity=rule.severity,
            code="policy-denied" if denies else "policy-warning",
            summary=first.message,
            detail=f"{'Denied by' if denies else 'Told by'} {policy}.{others}",
            hint=rule.hint,
            address=address,
            range=first.place,
        )
    if rule.subject.is_kind and not at_apply:
        return Diagnostic(
            severity=Severity.WARNING,
            code="policy-open",
            summary="Whether a policy holds is only known while applying",
            detail=f"It depends on what does not exist yet; then {policy} is looked at again, before anything is done "
            f"to the resource.{others}",
            address=address,
            range=rule.source,
        )
    return Diagnostic(
        severity=rule.severity,
        code="policy-unknown",
        summary="It can't be told whether a policy holds",
        detail=f"What {policy} looks at depends on what is not known.{others}",
        hint="let the policy look at what is known before apply",
        address=address,
        range=first.place or rule.source,
    )


def _others(addresses: list[Address]) -> str:
    """The other resources that it is about, shortened."""
    if not addresses:
        return ""
    named = ", ".join(map(str, addresses[:_MOST_NAMED]))
    more = len(addresses) - _MOST_NAMED
    return f" It is about {named}{f' and {more} more' if more > 0 else ''}, too."
