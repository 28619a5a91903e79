"""The page of one environment: what is wrong, what waits, what would change, what has drifted, and what was done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Final

from nexus import ListedRun
from nexus.controller.settings import Policy
from nexus.controller.status import Phase, Standing
from nexus.controller.web.elements import (
    badge,
    bounded,
    clock,
    counted,
    distance,
    document,
    path,
    problems,
    revision,
)
from nexus.kinds.durations import format_duration
from nexus.model.changes import Change, Plan
from nexus.model.diagnostics import Diagnostic, Severity
from nexus.planning import Drift, DriftReport
from nexus.render.costs import cost_lines
from nexus.render.openings import bundled
from nexus.render.plan import SYMBOLS
from nexus.render.values import duration, plural

_WORDS: Final = {
    Phase.STARTING: "being looked at for the first time",
    Phase.STANDBY: "another controller leads it",
    Phase.SYNCED: "as it is written",
    Phase.PENDING: "differs; this controller only tells",
    Phase.WAITING: "a plan waits for approval",
    Phase.APPLYING: "is being changed",
    Phase.FAILED: "the last attempt failed",
}


def environment(standing: Standing, runs: Sequence[ListedRun], now: datetime, *, has_graph: bool) -> str:
    """One environment. Its graph is shown where its files could be read."""
    here, name = path(standing.key), escape(str(standing.key))
    parts = [
        f'<p class=back><a href="/">All environments</a></p><h1>{name} {badge(standing.phase, standing.phase)}</h1>',
        f"<p class=words>{escape(_WORDS[standing.phase])}{_leader(standing)}</p>",
        problems((*standing.diagnostics, *standing.source_problems)),
        _waiting(standing),
        _plan(standing),
        _facts(standing, now),
        _drift(standing, now),
        _runs(runs),
    ]
    if has_graph:
        parts.append(
            f'<section><h2>Graph</h2><p><a href="{here}/graph">Open it to search and to see each change</a></p>'
            f'<a href="{here}/graph"><img class=graph src="{here}/graph.svg" '
            f'alt="The graph of {name}"></a></section>'
        )
    return document(f"{standing.key}, {standing.phase}", "".join(parts), now)


def _leader(standing: Standing) -> str:
    return f": {escape(standing.leader)}" if standing.leader else ""


def _facts(standing: Standing, now: datetime) -> str:
    rows = (
        ("Revision", revision(standing)),
        ("Applied", f"<code>{escape(standing.applied[:12])}</code>" if standing.applied else ""),
        ("Policy", f"{standing.policy}, every {format_duration(round(standing.interval))}"),
        ("Looked at", _moment(standing.observed_at, now)),
        ("Next look", _moment(standing.next_at, now)),
        ("Failures in a row", str(standing.failures or "")),
    )
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in rows if value)}</dl>"


def _moment(moment: datetime | None, now: datetime) -> str:
    return "" if moment is None else f"{distance(moment, now)} <span class=faint>{clock(moment)} UTC</span>"


def _waiting(standing: Standing) -> str:
    if standing.policy is not Policy.APPROVE or not standing.digest:
        return ""
    key = standing.key
    command = f"nexus reconcile approve {key.project} -e {key.environment} --digest {standing.digest}"
    return (
        "<section class=approval><h2>Waits for approval</h2>"
        "<p>On the controller's machine, or, where the state is on a server, in the project's folder on any:</p>"
        f"<pre>{escape(command)}</pre></section>"
    )


def _plan(standing: Standing) -> str:
    plan: Plan | None = standing.plan
    if plan is None or not standing.pending:
        return ""
    rows = "".join(bounded([_change(item) for item in standing.pending], 3))
    summary = escape(counted(plan.summary.items()))
    return (
        f"<section><h2>Planned</h2><p>{summary}</p>{_consequences(plan)}"
        f"<div class=wide><table>{rows}</table></div></section>"
    )


def _consequences(plan: Plan) -> str:
    """What a plan opens, what it costs, and what its own policies warn of."""
    warnings = [item for item in plan.diagnostics if item.severity is Severity.WARNING]
    items = [
        *(
            f"opens <b>{item.opens}</b> <code>{escape(item.named)}</code>: {escape(item.detail)}"
            for item in bundled(plan.openings)
        ),
        *(escape(line) for line in (() if plan.cost is None else cost_lines(plan.cost))),
        *map(_warning, warnings),
    ]
    return f"<ul class=consequences>{''.join(f'<li>{item}</li>' for item in items)}</ul>" if items else ""


def _warning(item: Diagnostic) -> str:
    return f"<b>{escape(item.code)}</b> {escape(item.summary)}"


def _change(change: Change) -> str:
    loss = ' <span class="badge failed">deletes data</span>' if change.data_loss else ""
    return (
        f"<tr><td class=action><code>{escape(SYMBOLS[change.action])}</code> {change.action}</td>"
        f"<td><code>{escape(str(change.address))}</code></td><td>{escape(change.cause)}{loss}</td></tr>"
    )


def _drift(standing: Standing, now: datetime) -> str:
    report: DriftReport | None = standing.drift
    if report is None:
        return "<section><h2>Drift</h2><p>None was seen.</p></section>"
    rows = "".join(bounded([_drifted(item) for item in standing.drifts], 3))
    return (
        f"<section><h2>Drift</h2><p>Last seen {_moment(standing.drifted_at, now)}, in "
        f"{plural(report.looked_at, 'object')}.</p><div class=wide><table>{rows}</table></div></section>"
    )


def _drifted(drift: Drift) -> str:
    fields = "".join(f"<br><code>{escape(diff.path)}</code>" for diff in drift.fields)
    return (
        f"<tr><td class=action>{drift.cause}</td><td><code>{escape(str(drift.address))}</code></td>"
        f"<td>{escape(drift.detail)}{fields}</td></tr>"
    )


def _runs(runs: Sequence[ListedRun]) -> str:
    if not runs:
        return "<section><h2>Last applies</h2><p>None is on record.</p></section>"
    rows = "".join(_run(item) for item in runs)
    return (
        "<section><h2>Last applies</h2><div class=wide><table><thead><tr><th>Begun (UTC)<th>What<th>How it ended"
        f"<th>Operations<th>Took<th>By</thead><tbody>{rows}</tbody></table></div></section>"
    )


def _run(listed: ListedRun) -> str:
    head, end = listed.summary.head, listed.summary.end
    tone = "synced" if listed.status == "succeeded" else "failed" if listed.status == "failed" else "pending"
    cells = (
        clock(datetime.fromisoformat(head.started_at)),
        escape(head.words),
        badge(listed.status, tone),
        str(head.operations),
        "" if end is None else duration(end.seconds),
        escape(head.holder),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
