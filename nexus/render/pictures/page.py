"""A picture as one HTML page that needs nothing else: the drawing, search, and the diff of what is clicked.

The page asks no server for anything, and could not: its content policy allows its own script, by digest, and its own
styles, and nothing else. What users named reaches it as escaped text in the drawing and as JSON that no ``<`` is in.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from html import escape

from nexus.model.changes import Change
from nexus.model.diagnostics import Diagnostic
from nexus.render.differences import lines, remark
from nexus.render.pictures.labels import summary, title
from nexus.render.pictures.picture import Member, Node, Picture
from nexus.render.pictures.svg import drawing, stylesheet
from nexus.render.plan import SYMBOLS

Json = dict[str, object]


def page(picture: Picture) -> str:
    """The whole page."""
    script = stylesheet("page.js")
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
<input id="search" type="search" placeholder="Search ( / )" aria-label="Search">
<button id="critical" type="button" aria-pressed="true">Critical path</button>
<button id="fit" type="button">Fit</button>
<button id="theme" type="button">Dark / light</button>
</header>
<main id="canvas">{drawing(picture)}{_legend(picture)}</main>
<aside id="panel" aria-live="polite"></aside>
<script type="application/json" id="data">{_embedded(_data(picture))}</script>
<script>{script}</script>
</body>
</html>
"""


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
    entries = [f"<code>{escape(SYMBOLS[action])}</code> {action}" for action in used]
    if any(node.critical for node in picture.nodes):
        entries.append("thick: critical path")
    entries.append("→ needed by")
    return f'<p id="legend">{" &nbsp; ".join(entries)}</p>'


def _data(picture: Picture) -> Json:
    needs: dict[str, list[str]] = defaultdict(list)
    needed_by: dict[str, list[str]] = defaultdict(list)
    for edge in picture.edges:
        needs[edge.dependant].append(edge.needed)
        needed_by[edge.needed].append(edge.dependant)
    return {
        "planned": picture.plan is not None,
        "nodes": [_node(node, needs[node.id], needed_by[node.id]) for node in picture.nodes],
        "diagnostics": [_diagnostic(item) for item in picture.diagnostics],
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


def _diagnostic(item: Diagnostic) -> Json:
    return {
        "severity": item.severity.value,
        "code": item.code,
        "summary": item.summary,
        "place": str(item.range) if item.range else "",
    }
