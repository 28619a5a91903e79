"""One sandbox's log: the engine's lifecycle entries and what its envd recorded, in one sequence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from nexus.local.guest import GuestError
from nexus.local.sandboxes.booting import Booter
from nexus.local.sandboxes.fleet import LiveSandbox
from nexus.local.sandboxes.logbook import LogEntry, LogQuery, select

ENVD_ROUTE = "/logs"
_PATIENCE = 5.0
_log = logging.getLogger(__name__)


async def read_logs(
    live: LiveSandbox, booter: Booter, query: LogQuery, *, patience: float = _PATIENCE
) -> list[LogEntry]:
    """Entries of ``live``. A paused sandbox's envd cannot answer: then only the lifecycle is shown.

    So it is when envd does not answer within ``patience`` seconds.
    """
    entries = live.logbook.entries()
    if live.is_running:
        try:
            async with asyncio.timeout(patience):
                found = await booter.guest(live.record, live.machine).get_json(ENVD_ROUTE)
            entries.extend(_decode(item) for item in _items(found))
        except (GuestError, TimeoutError) as error:
            _log.warning("no log from the envd of sandbox %s: %s", live.id, error)
    return select(entries, query)


def _items(found: object) -> list[Mapping[str, object]]:
    if isinstance(found, dict):
        found = found.get("events")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _decode(item: Mapping[str, object]) -> LogEntry:
    timestamp, fields = item.get("timestamp"), item.get("fields")
    return LogEntry(
        at=datetime.fromtimestamp(timestamp if isinstance(timestamp, int | float) else 0, UTC),
        message=str(item.get("message", "")),
        level=str(item.get("level", "info")),
        fields={str(key): str(value) for key, value in fields.items()} if isinstance(fields, dict) else {},
    )
