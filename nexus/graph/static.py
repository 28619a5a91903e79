"""Values that must be known before apply: what shapes the graph may not depend on secrets and resources."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from nexus.expressions import resolve
from nexus.graph.blocks import Block, expressions_in
from nexus.graph.desired import Inputs
from nexus.model.diagnostics import Diagnostics, DiagnosticsError, error
from nexus.model.expressions import Raw
from nexus.model.resources import Each
from nexus.model.values import UNKNOWN, Value

BEFORE_APPLY: Final = frozenset({"vars", "env"})


def is_static(raw: Raw, also: Collection[str] = ()) -> bool:
    """Whether ``raw`` uses only what is known before apply, and ``also`` these roots."""
    return all(
        reference.root in BEFORE_APPLY or reference.root in also
        for expression in expressions_in(raw)
        for reference in expression.references
    )


def uses_each(raw: Raw) -> bool:
    return any(ref.root == "each" for expression in expressions_in(raw) for ref in expression.references)


def static_value(
    raw: Raw, each: Each | None, inputs: Inputs, block: Block, name: str, diagnostics: Diagnostics
) -> Value:
    """The value of the field ``name``, or UNKNOWN once what is wrong with it was reported."""
    if not is_static(raw, ("each",) if each else ()):
        _refuse(raw, each, block, name, diagnostics)
        return UNKNOWN
    try:
        return resolve(raw, inputs.static_scope(each))
    except DiagnosticsError as problem:
        diagnostics.extend(item.at(block.place(name), str(block.address)) for item in problem.diagnostics)
        return UNKNOWN


def _refuse(raw: Raw, each: Each | None, block: Block, name: str, diagnostics: Diagnostics) -> None:
    allowed = BEFORE_APPLY | ({"each"} if each else set())
    for expression in expressions_in(raw):
        roots = sorted({reference.root for reference in expression.references} - allowed)
        if not roots:
            continue
        what = "each" if roots == ["each"] else "a secret" if roots == ["secrets"] else f"{roots[0]}.…"
        diagnostics.add(
            error(
                "not-known-before-apply",
                f"{name} may only use what is known before apply",
                detail=f"«{expression.source}» depends on {what}, but {name} shapes what the plan consists of.",
                hint="use vars, env and functions here",
                address=str(block.address),
                range=expression.range or block.place(name),
            )
        )
