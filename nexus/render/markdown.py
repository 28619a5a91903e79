"""A plan as Markdown for a comment on a pull request: short to look at, whole when unfolded, never too long for one.

Where it would be too long, later changes lose their fields first, then are only counted. What users named stands in
code or is escaped, so that nobody is notified and nothing is formatted by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from nexus.model.changes import Change, Plan
from nexus.model.diagnostics import Diagnostic, Severity
from nexus.render.bundles import OTHERS_DIFFER, Bundle, bundles
from nexus.render.consequences import denial
from nexus.render.costs import assumed, cost_rows
from nexus.render.differences import lines, remark
from nexus.render.openings import bundled
from nexus.render.plan import SYMBOLS, nothing, summary_line
from nexus.render.values import plural

LIMIT: Final = 65_000
"""Characters. GitHub takes 65,536 in a comment; a line of one's own above it should fit too."""

_LARGEST_GRAPH: Final = 8_000
_MOST_NOTES: Final = 10
_LONGEST_LINE: Final = 200
_ROOM_FOR_COUNT: Final = 80


def plan_markdown(plan: Plan, graph: str = "", *, limit: int = LIMIT) -> str:
    """The plan in at most ``limit`` characters. ``graph`` is its picture as Mermaid, shown where there is room."""
    denials = [item for item in plan.diagnostics if item.severity is Severity.ERROR]
    others = [item for item in plan.diagnostics if item.severity is not Severity.ERROR]
    head = _joined([_head(plan), _notes(denials), _opens(plan), _cost(plan)])
    tail = _notes(others) + _graph(plan, graph)
    if not plan.changes:
        return _joined([head, _words(nothing(plan)), tail])
    room = limit - len(head) - len(tail) - _ROOM_FOR_COUNT
    return _joined([head, *_sections(list(bundles(plan.changes, fold=True)), room), tail])


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def _head(plan: Plan) -> str:
    place = f"{_code(plan.project)}, environment {_code(plan.environment)}, target {_code(plan.target.kind)}"
    lost = [change for change in plan.changes if change.data_loss]
    warning = f"\n\n**Deletes data that nothing else holds:** {_addresses(lost)}" if lost else ""
    denied = f"\n\n**{denial(plan)}**" if plan.is_denied else ""
    return f"### nexus plan: {place}\n\n**{summary_line(plan)}**{denied}{warning}"


def _opens(plan: Plan) -> str:
    opened = list(bundled(plan.openings))
    lines = [f"- **{item.opens}** {_code(item.named)}: {_words(item.detail)}" for item in opened[:_MOST_NOTES]]
    if len(opened) > _MOST_NOTES:
        lines.append(f"- … and {len(opened) - _MOST_NOTES} more")
    return "**Opens**\n\n" + "\n".join(lines) if lines else ""


def _cost(plan: Plan) -> str:
    """What it costs now and afterwards; nothing where nothing runs before or after."""
    cost = plan.cost
    if cost is None or not cost.sandboxes:
        return ""
    title = "Cost" if cost.billed else "Cost at E2B (nothing on this target)"
    rows = [
        f"| {_words(what)} | {_words(now)} | {_words(then)} | {_words(more)} |"
        for what, now, then, more in cost_rows(cost)
    ]
    note = f"\n\nAssumed: the size of {_code(assumed(cost))}." if cost.assumed else ""
    return "\n".join([f"| {title} | now | after | change |", "| --- | ---: | ---: | ---: |", *rows]) + note


def _addresses(changes: Sequence[Change]) -> str:
    shown = ", ".join(_code(str(change.address)) for change in changes[:_MOST_NOTES])
    return f"{shown}, …" if len(changes) > _MOST_NOTES else shown


def _sections(shown: Sequence[Bundle], room: int) -> list[str]:
    """Each bundle whole if there is room for it and the heads of all others; then its head; then a count."""
    heads = [f"- {_heading(bundle)}" for bundle in shown]
    fitting = 0
    while fitting < len(heads) and (room := room - len(heads[fitting]) - 2) >= 0:
        fitting += 1
    sections: list[str] = []
    for bundle, head in zip(shown[:fitting], heads, strict=False):
        whole = _whole(bundle)
        if fitting == len(heads) and len(whole) - len(head) <= room:
            room -= len(whole) - len(head)
            sections.append(whole)
        else:
            sections.append(head)
    if fitting < len(heads):
        left_out = sum(bundle.count for bundle in shown[fitting:])
        sections.append(f"*… and {plural(left_out, 'more change')}.*")
    return sections


def _heading(bundle: Bundle) -> str:
    change = bundle.first
    count = f" × {bundle.count}" if bundle.others else ""
    what = f"{SYMBOLS[change.action]} {bundle.title}{count}"
    return f"{_code(what)} {change.action}: {_words(change.cause)}"


def _whole(bundle: Bundle) -> str:
    change = bundle.first
    said = [_words("deletes data that nothing else holds")] if change.data_loss else []
    said += [f"at {_code(str(change.source))}"] if change.source else []
    body = [_fields(bundle), *said]
    if not change.fields and not said:
        return f"- {_heading(bundle)}"
    return f"<details><summary>{_heading(bundle)}</summary>\n\n{_joined(body)}\n</details>"


def _fields(bundle: Bundle) -> str:
    fields, own = bundle.first.fields, bundle.own_fields
    if not fields:
        return ""
    written: list[str] = []
    for diff in fields:
        said = ", ".join(part for part in (remark(diff), OTHERS_DIFFER if diff.path in own else "") if part)
        written.append(f"  {diff.path}{f'  ({said})' if said else ''}")
        written += [f"{line.sign}   {line.text}" for line in lines(diff)]
    return _fenced("diff", "\n".join(written))


def _fenced(language: str, text: str) -> str:
    """A block of code; its fence is longer than any in the text, and no other sign ends one of its lines."""
    text = "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _notes(diagnostics: Sequence[Diagnostic]) -> str:
    notes = [
        f"- **{item.severity}[{item.code}]** {_words(item.summary)}{_where(item)}" for item in diagnostics[:_MOST_NOTES]
    ]
    if len(diagnostics) > _MOST_NOTES:
        notes.append(f"- … and {len(diagnostics) - _MOST_NOTES} more")
    return "\n".join(notes) + "\n\n" if notes else ""


def _where(item: Diagnostic) -> str:
    address = f", {_code(item.address)}" if item.address else ""
    return f"{address} at {_code(str(item.range))}" if item.range else address


def _graph(plan: Plan, graph: str) -> str:
    if not plan.changes or not graph or len(graph) > _LARGEST_GRAPH:
        return ""
    return f"<details><summary>Graph</summary>\n\n{_fenced('mermaid', graph.strip())}\n\n</details>"


def _code(text: str) -> str:
    """As code in HTML, which holds inside of ``<summary>`` too, where Markdown is not read."""
    return f"<code>{_escaped(text)}</code>"


def _words(text: str) -> str:
    """Plain words. An invisible sign after ``@`` and ``#`` keeps forges from making mentions and references of them."""
    return re.sub("(@|&#35;)", r"\1&#8203;", _escaped(text))


def _escaped(text: str) -> str:
    """One line, in which no sign means anything to Markdown or HTML."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    short = line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"
    return re.sub(r"[\\`*_\[\]|~$#]", lambda found: f"&#{ord(found[0])};", escape(short, quote=False))
