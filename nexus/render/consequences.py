"""What comes of a plan, for people: what it opens, what it costs, and whether it may be applied."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from nexus.model.changes import Plan
from nexus.model.diagnostics import Severity
from nexus.render.costs import cost_lines
from nexus.render.openings import bundled
from nexus.render.values import plural


def consequences(plan: Plan) -> Iterator[Text]:
    """Lines that follow the changes of a plan. Where nothing changes, only a denial is worth one."""
    if plan.changes:
        yield from _opens(plan)
        if plan.cost is not None:
            yield from map(Text, cost_lines(plan.cost))
    if plan.is_denied:
        yield Text(denial(plan), style="error")


def denial(plan: Plan) -> str:
    """The sentence for a plan that may not be applied."""
    count = sum(item.severity is Severity.ERROR for item in plan.diagnostics)
    return f"Denied, for {plural(count, 'reason')}: nothing of it can be applied."


def _opens(plan: Plan) -> Iterator[Text]:
    opened = list(bundled(plan.openings))
    if opened:
        yield Text("Opens:", style="bold")
    for item in opened:
        yield Text.assemble((f"  {item.opens:<9} ", "warning"), (item.named, "address"), f": {item.detail}")
