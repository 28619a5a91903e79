"""Notices and standings as JSON: what logs, webhooks and ``/api/environments`` say. No secret is in them."""

from __future__ import annotations

from datetime import UTC, datetime

from nexus.controller.status import Board, Notice, Standing
from nexus.model.changes import Change
from nexus.planning import Drift
from nexus.render.documents import FORMAT_VERSION, Json, diagnostics_to_json


def notice_to_json(notice: Notice) -> Json:
    """What a webhook is posted."""
    return {
        "format_version": FORMAT_VERSION,
        "time": stamp(notice.at),
        "event": notice.kind.value,
        "project": notice.key.project,
        "environment": notice.key.environment,
        "revision": notice.revision or None,
        "summary": dict(notice.summary),
        "digest": notice.digest or None,
        "seconds": None if notice.seconds is None else round(notice.seconds, 3),
        "message": notice.message,
        "diagnostics": diagnostics_to_json(notice.diagnostics),
    }


def board_to_json(board: Board) -> Json:
    return {"format_version": FORMAT_VERSION, "environments": [standing_to_json(item) for item in board.all]}


def standing_to_json(standing: Standing) -> Json:
    return {
        "project": standing.key.project,
        "environment": standing.key.environment,
        "phase": standing.phase.value,
        "policy": standing.policy.value,
        "interval": standing.interval,
        "revision": standing.revision or None,
        "title": standing.title,
        "applied": standing.applied or None,
        "leader": standing.leader or None,
        "digest": standing.digest or None,
        "failures": standing.failures,
        "observed_at": _maybe(standing.observed_at),
        "next_at": _maybe(standing.next_at),
        "drifted_at": _maybe(standing.drifted_at),
        "changes": [_change(item) for item in standing.pending],
        "drifts": []
        if standing.drift is None
        else [_drift(item) for item in standing.drift.drifts if not item.ignored],
        "diagnostics": diagnostics_to_json((*standing.diagnostics, *standing.source_problems)),
    }


def _change(change: Change) -> Json:
    return {
        "address": str(change.address),
        "action": change.action.value,
        "cause": change.cause,
        "data_loss": change.data_loss,
    }


def _drift(drift: Drift) -> Json:
    return {"address": str(drift.address), "cause": drift.cause.value, "detail": drift.detail}


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _maybe(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)
