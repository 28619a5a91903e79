"""A picture as one HTML page that needs nothing else: the drawing, search, the diff of what is clicked, and what the
last run did when.

The page asks no server for anything, and could not: its content policy allows its own script, by digest, and its own
styles, and nothing else. What users named reaches it as escaped text in the drawing and as JSON that no ``<`` is in.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from html import escape

from nexus.model.changes import Action, Change, Plan
from nexus.model.diagnostics import Diagnostic
from nexus.model.runs import Run
from nexus.render.consequences import denial
from nexus.render.costs import assumed, cost_rows
from nexus.render.differences import lines, remark
from nexus.render.openings import Opened, bundled
from nexus.render.pictures.labels import summary, title
from nexus.render.pictures.picture import Member, Node, Picture
from nexus.render.pictures.svg import drawing, stylesheet
from nexus.render.pictures.timeline import Bar, bars, timeline, words
from nexus.render.plan import SYMBOLS
from nexus.render.values import duration

Json = dict[str, object]


def page(picture: Picture, run: Run | None = None) -> str:
    """The whole page. ``run`` is the last one, where there was one."""
    script = stylesheet("page.js")
    drawn = () if run is None else bars(run)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>nexus: {escape(title(picture))}</title>
<style>
{stylesheet("graph.css")}{stylesheet("page.css")}</style>
</head>
<body>
<header>
<h1>{escape(title(picture))}</h1>
<p id="summary">{escape(summary(picture))}</p>
{_denial(picture.plan)}<input id="search" type="search" placeholder="Search ( / )" aria-label="Search">
{_switch(run)}<button id="critical" type="button" aria-pressed="true">Critical path</button>
<button id="fit" type="button">Fit</button>
<button id="theme" type="button">Dark / light</button>
</header>
<main id="canvas">{drawing(picture)}{_legend(picture)}</main>
{_lines(run, drawn)}<aside id="panel" class="graph" aria-live="polite"></aside>
<script type="application/json" id="data">{_embedded(_data(picture, drawn))}</script>
<script>{script}</script>
</body>
</html>
"""


def _denial(plan: Plan | None) -> str:
    return f'<p id="denial">{escape(denial(plan))}</p>\n' if plan is not None and plan.is_denied else ""


def _digest(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _embedded(data: Json) -> str:
    """JSON that can stand in a script element: no tag and no comment can begin or end in it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _legend(picture: Picture) -> str:
    used = dict.fromkeys(action for node in picture.nodes for action in node.actions)
    entries = [f'<code class="{action}">{escape(SYMBOLS[action])}</code> {action}' for action in used]
    if any(node.critical for node in picture.nodes):
        entries.append("thick: critical path")
    entries.append("→ needed by")
    return f'<p id="legend" class="graph">{" &nbsp; ".join(entries)}</p>'


def _switch(run: Run | None) -> str:
    return "" if run is None else '<button id="switch" type="button" aria-pressed="false">Last run</button>\n'


def _lines(run: Run | None, drawn: Sequence[Bar]) -> str:
    """The last run along its time, in the place of the drawing once it is asked for."""
    if run is None:
        return ""
    end = run.summary.end
    took = "did not come to its end" if end is None else f"took {duration(end.seconds)}"
    head = f"nexus {run.head.words}, begun {run.head.started_at}, {took}. Thick: the chain that took longest."
    lines_along_time = timeline(drawn, run.head.words)
    return f'<section id="timeline" hidden><p class="muted">{escape(head)}</p>{lines_along_time}</section>\n'


def _data(picture: Picture, drawn: Sequence[Bar]) -> Json:
    needs: dict[str, list[str]] = defaultdict(list)
    needed_by: dict[str, list[str]] = defaultdict(list)
    for edge in picture.edges:
        needs[edge.dependant].append(edge.needed)
        needed_by[edge.needed].append(edge.dependant)
    return {
        "planned": picture.plan is not None,
        "nodes": [_node(node, needs[node.id], needed_by[node.id]) for node in picture.nodes],
        "diagnostics": [_diagnostic(item) for item in picture.diagnostics],
        "opens": [] if picture.plan is None else [_opened(item) for item in bundled(picture.plan.openings)],
        "cost": _cost(picture.plan),
        "actions": [action.value for action in Action],
        "operations": [_operation(bar) for bar in drawn],
    }


def _opened(item: Opened) -> Json:
    return {"opens": item.opens.value, "named": item.named, "detail": item.detail}


def _cost(plan: Plan | None) -> Json | None:
    """As in Markdown: nothing where nothing runs before or after."""
    cost = None if plan is None else plan.cost
    if cost is None or not cost.sandboxes:
        return None
    return {
        "title": "Cost" if cost.billed else "Cost at E2B (nothing on this target)",
        "rows": [list(row) for row in cost_rows(cost)],
        "note": f"Assumed: the size of {assumed(cost)}." if cost.assumed else "",
    }


def _node(node: Node, needs: list[str], needed_by: list[str]) -> Json:
    return {
        "id": node.id,
        "address": str(node.address),
        "critical": node.critical,
        "members": [_member(member) for member in node.members],
        "needs": needs,
        "needed_by": needed_by,
    }


def _member(member: Member) -> Json:
    return {
        "address": str(member.address),
        "place": str(member.source) if member.source else "",
        "changes": [_change(change) for change in member.changes],
    }


def _change(change: Change) -> Json:
    return {
        "action": change.action.value,
        "symbol": SYMBOLS[change.action],
        "cause": change.cause,
        "data_loss": change.data_loss,
        "fields": [
            {
                "path": diff.path,
                "remark": remark(diff),
                "lines": [[line.sign, line.text] for line in lines(diff)],
            }
            for diff in change.fields
        ],
    }


def _operation(bar: Bar) -> Json:
    item = bar.operation
    return {
        "id": item.id,
        "address": str(item.address),
        "words": words(item),
        "cause": item.cause,
        "took": f"{duration(bar.end - bar.start)}, {duration(bar.start)} after the beginning",
        "outcome": "did not come to its end" if item.outcome is None else item.outcome.value,
        "why": "\n".join(filter(None, (item.reason, item.note, item.summary, item.detail))),
        "tail": list(item.tail),
        "critical": bar.critical,
    }


def _diagnostic(item: Diagnostic) -> Json:
    return {
        "severity": item.severity.value,
        "code": item.code,
        "summary": item.summary,
        "place": str(item.range) if item.range else "",
    }
