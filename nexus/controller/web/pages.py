"""The pages as HTML. Texts that somebody else wrote are escaped; there is no script, so pages reload by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from nexus import ListedRun
from nexus.controller.settings import Policy
from nexus.controller.status import Phase, Standing
from nexus.kinds.durations import format_duration
from nexus.model.changes import Change, Plan
from nexus.model.diagnostics import Diagnostic
from nexus.planning import Drift, DriftReport
from nexus.render.plan import SYMBOLS
from nexus.render.values import duration, plural

_RELOADS: Final = 5
"""Seconds after which a page asks again."""
_MOST_ROWS: Final = 200
_WORDS: Final = {
    Phase.STARTING: "being looked at for the first time",
    Phase.STANDBY: "another controller leads it",
    Phase.SYNCED: "as it is written",
    Phase.PENDING: "differs; this controller only tells",
    Phase.WAITING: "a plan waits for approval",
    Phase.APPLYING: "is being changed",
    Phase.FAILED: "the last attempt failed",
}


@cache
def stylesheet() -> str:
    return files(__package__).joinpath("page.css").read_text(encoding="utf-8")


def index(standings: Sequence[Standing]) -> str:
    """All environments."""
    counts = {phase: sum(item.phase is phase for item in standings) for phase in Phase}
    tallies = "".join(f'<li class="{phase}"><b>{count}</b> {phase}</li>' for phase, count in counts.items() if count)
    rows = "".join(_row(item) for item in standings)
    return _document(
        "Environments",
        f"<h1>Environments</h1><ul class=tallies>{tallies}</ul>"
        "<table><thead><tr><th>Environment<th>State<th>Policy<th>Revision<th>Changes<th>Drift"
        f"<th>Looked at (UTC)<th>Next</thead><tbody>{rows}</tbody></table>",
    )


def environment(standing: Standing, runs: Sequence[ListedRun], *, has_graph: bool) -> str:
    """One environment: how it stands, what would change, what has drifted, what was done, and its graph."""
    here = f"/environments/{_path(standing)}"
    parts = [
        f'<p class=back><a href="/">All environments</a></p><h1>{escape(str(standing.key))} {_badge(standing)}</h1>',
        f"<p class=words>{escape(_WORDS[standing.phase])}{_leader(standing)}</p>",
        _facts(standing),
        _problems((*standing.diagnostics, *standing.source_problems)),
        _waiting(standing),
        _plan(standing),
        _drift(standing),
        _runs(runs),
    ]
    if has_graph:
        parts.append(
            f'<section><h2>Graph</h2><p><a href="{here}/graph">Open it to search and to see each change</a></p>'
            f'<a href="{here}/graph"><img class=graph src="{here}/graph.svg" '
            f'alt="The graph of {escape(str(standing.key))}"></a></section>'
        )
    return _document(str(standing.key), "".join(parts))


def not_found() -> str:
    return _document("Not found", '<h1>Not found</h1><p>There is no such page. <a href="/">All environments</a></p>')


def failure(diagnostics: Iterable[Diagnostic]) -> str:
    return _document("Not now", f"<h1>This can't be shown now</h1>{_problems(tuple(diagnostics))}")


def _document(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{_RELOADS}"><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="/style.css"><title>nexus: {escape(title)}</title></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def _row(standing: Standing) -> str:
    drifts = len(standing.drifts)
    cells = (
        f'<a href="/environments/{_path(standing)}">{escape(str(standing.key))}</a>',
        _badge(standing),
        standing.policy.value,
        _revision(standing),
        str(len(standing.pending) or ""),
        f"{drifts}, {_clock(standing.drifted_at)}" if drifts else "",
        _clock(standing.observed_at),
        _clock(standing.next_at),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _badge(standing: Standing) -> str:
    return f'<span class="badge {standing.phase}">{standing.phase}</span>'


def _leader(standing: Standing) -> str:
    return f": {escape(standing.leader)}" if standing.leader else ""


def _path(standing: Standing) -> str:
    return f"{quote(standing.key.project, safe='')}/{quote(standing.key.environment, safe='')}"


def _revision(standing: Standing) -> str:
    return f"<code>{escape(standing.revision[:12])}</code> {escape(standing.title)}" if standing.revision else ""


def _facts(standing: Standing) -> str:
    rows = (
        ("Revision", _revision(standing)),
        ("Applied", f"<code>{escape(standing.applied[:12])}</code>" if standing.applied else ""),
        ("Policy", f"{standing.policy}, every {format_duration(round(standing.interval))}"),
        ("Looked at (UTC)", _clock(standing.observed_at)),
        ("Next look", _clock(standing.next_at)),
        ("Failures in a row", str(standing.failures or "")),
    )
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in rows if value)}</dl>"


def _problems(diagnostics: Sequence[Diagnostic]) -> str:
    items = "".join(
        f"<li><b>{escape(str(item))}</b>{_paragraph(item.detail)}{_paragraph(item.hint and f'hint: {item.hint}')}</li>"
        for item in diagnostics
    )
    return f"<section class=problems><h2>Problems</h2><ul>{items}</ul></section>" if items else ""


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""


def _waiting(standing: Standing) -> str:
    if standing.policy is not Policy.APPROVE or not standing.digest:
        return ""
    key = standing.key
    command = f"nexus reconcile approve {key.project} -e {key.environment} --digest {standing.digest}"
    return (
        "<section class=waiting><h2>Waits for approval</h2><p>On the controller's machine, or, where the state is on a "
        "server, in the project's folder on any:</p>"
        f"<pre>{escape(command)}</pre></section>"
    )


def _plan(standing: Standing) -> str:
    plan: Plan | None = standing.plan
    if plan is None or not standing.pending:
        return ""
    rows = "".join(_bounded([_change(item) for item in standing.pending], 3))
    summary = ", ".join(f"{count} to {action}" for action, count in plan.summary.items())
    return f"<section><h2>Planned</h2><p>{escape(summary)}</p><table>{rows}</table></section>"


def _change(change: Change) -> str:
    loss = ' <span class="badge failed">deletes data</span>' if change.data_loss else ""
    return (
        f"<tr><td><code>{escape(SYMBOLS[change.action])}</code> {change.action}</td>"
        f"<td><code>{escape(str(change.address))}</code></td><td>{escape(change.cause)}{loss}</td></tr>"
    )


def _drift(standing: Standing) -> str:
    report: DriftReport | None = standing.drift
    if report is None:
        return "<section><h2>Drift</h2><p>None was seen.</p></section>"
    rows = "".join(_bounded([_drifted(item) for item in standing.drifts], 3))
    return (
        f"<section><h2>Drift</h2><p>Last seen {_clock(standing.drifted_at)}, in "
        f"{plural(report.looked_at, 'object')}.</p><table>{rows}</table></section>"
    )


def _drifted(drift: Drift) -> str:
    fields = "".join(f"<br><code>{escape(diff.path)}</code>" for diff in drift.fields)
    return (
        f"<tr><td>{drift.cause}</td><td><code>{escape(str(drift.address))}</code></td>"
        f"<td>{escape(drift.detail)}{fields}</td></tr>"
    )


def _runs(runs: Sequence[ListedRun]) -> str:
    if not runs:
        return "<section><h2>Last applies</h2><p>None is on record.</p></section>"
    rows = "".join(_run(item) for item in runs)
    return (
        "<section><h2>Last applies</h2><table><thead><tr><th>Begun (UTC)<th>What<th>How it ended<th>Operations"
        f"<th>Took<th>By</thead><tbody>{rows}</tbody></table></section>"
    )


def _run(listed: ListedRun) -> str:
    head, end = listed.summary.head, listed.summary.end
    tone = "synced" if listed.status == "succeeded" else "failed" if listed.status == "failed" else "pending"
    cells = (
        _clock(datetime.fromisoformat(head.started_at)),
        escape(head.words),
        f'<span class="badge {tone}">{escape(listed.status)}</span>',
        str(head.operations),
        "" if end is None else duration(end.seconds),
        escape(head.holder),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _bounded(rows: list[str], columns: int) -> Iterator[str]:
    yield from rows[:_MOST_ROWS]
    if len(rows) > _MOST_ROWS:
        yield f"<tr><td colspan={columns}>and {len(rows) - _MOST_ROWS} more</td></tr>"


def _clock(moment: datetime | None) -> str:
    if moment is None:
        return ""
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M:%S}</time>'
