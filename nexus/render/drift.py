"""Drift: for people, a line for everything that differs; for programs, a JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.text import Text

from nexus.planning import Alert, Drift, DriftCause, DriftReport
from nexus.planning.saved import field_to_json
from nexus.render.console import print_texts
from nexus.render.documents import FORMAT_VERSION, Json, diagnostics_to_json, value_to_json
from nexus.render.fields import changed_field
from nexus.render.values import plural

_STYLES: Final = {
    DriftCause.EXPIRED: "warning",
    DriftCause.GONE: "delete",
    DriftCause.PAUSED: "resume",
    DriftCause.CHANGED: "update",
    DriftCause.EDITED: "update",
}
_INDENT: Final = "      "


def print_drift(console: Console, report: DriftReport, *, look: str = "nexus plan --deep") -> None:
    """What differs, what is used too much, and a sentence about the whole. ``look`` is the command that plans it."""
    print_texts(console, (_drift_text(drift, console.width) for drift in report.drifts))
    print_texts(console, (_alert_text(alert) for alert in report.alerts))
    console.print(Text(_sentence(report, look), style="bold"))


def drift_to_json(report: DriftReport) -> Json:
    """The document of ``nexus drift --json``; its schema is ``schemas/drift.schema.json``."""
    return {
        "format_version": FORMAT_VERSION,
        "drifted": report.has_drift,
        "looked_at": report.looked_at,
        "drifts": [
            {
                "address": str(drift.address),
                "kind": drift.address.kind,
                "id": drift.id,
                "cause": drift.cause.value,
                "detail": drift.detail,
                "ignored": drift.ignored,
                "fields": [field_to_json(diff, value_to_json) for diff in drift.fields],
            }
            for drift in report.drifts
        ],
        "alerts": [
            {
                "address": str(alert.address),
                "id": alert.id,
                "measured": alert.measured,
                "percent": alert.percent,
                "threshold": alert.threshold,
            }
            for alert in report.alerts
        ],
        "diagnostics": diagnostics_to_json(report.diagnostics),
    }


def _drift_text(drift: Drift, width: int) -> Text:
    style = "faint" if drift.ignored else _STYLES[drift.cause]
    text = Text.assemble(("   ≠ ", style), (str(drift.address), "address"))
    text.append(f"  {drift.cause}", style=style)
    if not drift.fields:
        text.append(f": {drift.detail.removeprefix(f'{drift.cause}: ')}")
    text.append("  (left alone: lifecycle.ignore_changes)\n" if drift.ignored else "\n")
    column = max((len(diff.path) for diff in drift.fields), default=0)
    for diff in drift.fields:
        room = max(width - len(_INDENT) - column - 3, 40)
        text.append(f"{_INDENT}{diff.path:<{column}}  ").append_text(changed_field(diff, room)).append("\n")
    return text


def _alert_text(alert: Alert) -> Text:
    text = Text.assemble(("   ! ", "warning"), (str(alert.address), "address"))
    return text.append(f"  {alert.measured} at {alert.percent:g} %, alerts from {alert.threshold} % on\n")


def _sentence(report: DriftReport, look: str) -> str:
    looked_at = plural(report.looked_at, "object")
    if not report.drifts:
        return f"No drift. {looked_at} as applied." if report.looked_at else "Nothing in the state to look at."
    parts = list(_counts(report))
    return f"Drift: {', '.join(parts)}, in {looked_at}. «{look}» shows what an apply would do about it."


def _counts(report: DriftReport) -> Iterator[str]:
    for cause in DriftCause:
        count = sum(drift.cause is cause and not drift.ignored for drift in report.drifts)
        if count:
            yield f"{count} {cause}"
    ignored = sum(drift.ignored for drift in report.drifts)
    if ignored:
        yield f"{ignored} left alone"
