"""Pre- and postconditions: what a block demands, looked at as soon as it can be, and again when things are done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nexus.expressions import Scope, resolve
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.expressions import Raw
from nexus.model.resources import Condition, Stage
from nexus.model.values import Sensitive, Unknown, Value, has_sensitive, is_wholly_known, reveal


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, and whether some of it can't be told yet."""

    diagnostics: tuple[Diagnostic, ...] = ()
    is_open: bool = False


def judge(conditions: Iterable[Condition], stage: Stage, scope: Scope, address: str) -> Verdict:
    """Look at all conditions of one stage."""
    found: list[Diagnostic] = []
    is_open = False
    for condition in conditions:
        try:
            value = resolve(condition.condition, scope)
        except DiagnosticsError as problem:
            found.extend(item.at(condition.source, address) for item in problem.diagnostics)
            continue
        match value.value if isinstance(value, Sensitive) else value:
            case True:
                pass
            case False:
                found.append(_failed(condition, stage, scope, address))
            case Unknown():
                is_open = True
            case _:
                found.append(_no_answer(condition, stage, address))
    return Verdict(tuple(found), is_open)


def _failed(condition: Condition, stage: Stage, scope: Scope, address: str) -> Diagnostic:
    return error(
        f"{stage}-failed",
        message_of(condition.error_message, scope, "A condition does not hold"),
        detail=f"A {stage} of {address} does not hold.",
        hint="nothing that depends on it is done until it holds" if stage is Stage.POSTCONDITION else "",
        address=address,
        range=condition.source,
    )


def message_of(message: Raw, scope: Scope, otherwise: str) -> str:
    """The user's own message; ``otherwise``, and why, where it would tell a secret or can't be told."""
    try:
        value: Value = resolve(message, scope)
    except DiagnosticsError:
        return f"{otherwise}, and its message can't be evaluated"
    if has_sensitive(value):
        return f"{otherwise}; its message depends on a secret"
    return str(reveal(value)) if is_wholly_known(value) else otherwise


def _no_answer(condition: Condition, stage: Stage, address: str) -> Diagnostic:
    return error(
        "wrong-type",
        f"The condition of a {stage} must be true or false",
        hint="compare with something, as in ${{ vars.workers > 0 }}",
        address=address,
        range=condition.source,
    )


def still_open(stage: Stage, address: str) -> Diagnostic:
    """For the apply, by when everything should be known."""
    return error(
        f"{stage}-unknown",
        f"It can't be told whether a {stage} holds",
        detail=f"A {stage} of {address} depends on what does not exist.",
        address=address,
    )
