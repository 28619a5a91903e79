"""What the pages are made of. Texts that somebody else wrote are escaped; there is no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import quote

import nexus
from nexus.controller.settings import Key
from nexus.controller.status import Standing
from nexus.model.diagnostics import Diagnostic
from nexus.render.values import duration

RELOADS: Final = 5
"""Seconds after which a page asks again."""

MOST_ROWS: Final = 200


@cache
def stylesheet() -> str:
    return files(__package__).joinpath("page.css").read_text(encoding="utf-8")


def document(title: str, body: str, now: datetime) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{RELOADS}"><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="/style.css"><title>nexus: {escape(title)}</title></head>'
        f"<body><main>{body}</main>{_footer(now)}</body></html>\n"
    )


def _footer(now: datetime) -> str:
    return (
        f"<footer><span>As of {clock(now)} UTC, anew every {RELOADS} seconds.</span>"
        '<a href="/api/environments">JSON</a><a href="/metrics">Metrics</a>'
        f"<span class=end>nexus {escape(nexus.__version__)}</span></footer>"
    )


def not_found() -> str:
    body = '<h1>Not found</h1><p>There is no such page. <a href="/">All environments</a></p>'
    return document("Not found", body, datetime.now(UTC))


def failure(diagnostics: Iterable[Diagnostic]) -> str:
    body = f"<h1>This can't be shown now</h1>{problems(tuple(diagnostics))}"
    return document("Not now", body, datetime.now(UTC))


def problems(diagnostics: Sequence[Diagnostic]) -> str:
    items = "".join(
        f"<li><b>{escape(str(item))}</b>{_paragraph(item.detail)}{_paragraph(item.hint and f'hint: {item.hint}')}</li>"
        for item in diagnostics
    )
    return f"<section class=problems><h2>Problems</h2><ul>{items}</ul></section>" if items else ""


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""


def badge(text: str, tone: str) -> str:
    return f'<span class="badge {tone}">{escape(text)}</span>'


def link(key: Key) -> str:
    return f'<a href="{path(key)}">{escape(str(key))}</a>'


def path(key: Key) -> str:
    return f"/environments/{quote(key.project, safe='')}/{quote(key.environment, safe='')}"


def revision(standing: Standing) -> str:
    return f"<code>{escape(standing.revision[:12])}</code> {escape(standing.title)}" if standing.revision else ""


def counted(summary: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} to {action}" for action, count in summary)


def bounded(rows: Sequence[str], columns: int) -> Iterator[str]:
    yield from rows[:MOST_ROWS]
    if len(rows) > MOST_ROWS:
        yield f"<tr><td colspan={columns}>and {len(rows) - MOST_ROWS} more</td></tr>"


def clock(moment: datetime | None) -> str:
    """When it was, or will be, in UTC."""
    return "" if moment is None else _time(moment, f"{moment:%Y-%m-%d %H:%M:%S}")


def distance(moment: datetime | None, now: datetime) -> str:
    """How long ago it was, or in how long it will be; when exactly is told to who points at it."""
    if moment is None:
        return ""
    seconds = round((moment - now).total_seconds())
    if abs(seconds) < 1:
        return _time(moment, "now")
    told = duration(float(abs(seconds))) if abs(seconds) >= 10 else f"{abs(seconds)}s"
    return _time(moment, f"in {told}" if seconds > 0 else f"{told} ago")


def _time(moment: datetime, text: str) -> str:
    title = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}" title="{title}">{text}</time>'
