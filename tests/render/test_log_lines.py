"""Lines of a sandbox's log, for people."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nexus.providers.operating import LogEntry
from nexus.render.operating import log_entry_to_json, log_text

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "fields", "shown"),
    [
        (
            "process started",
            {
                "event_type": "process_start",
                "operation_id": "4",
                "pid": "7",
                "command": "/bin/bash -l -c # script run by nexus\nexport NEXUS_JOB=1",
            },
            "info  system │ process started  (pid 7, command # script run by nexus)",
        ),
        (
            "process ended",
            {"event_type": "process_end", "operation_id": "4", "pid": "7", "status": "exit status 0"},
            "info  system │ process ended  (pid 7, exit status 0)",
        ),
        ("one\ntwo\n", {"event_type": "stdout", "operation_id": "4"}, "info  stdout │ one\n             │ two"),
        ("Sandbox created", {"template": "t1"}, "info  system │ Sandbox created  (template t1)"),
    ],
)
def test_what_machines_need_is_not_told(message: str, fields: dict[str, str], shown: str) -> None:
    entry = LogEntry(time=NOON, level="info", message=message, fields=fields)
    assert log_text(entry, timestamps=False).plain == shown
    assert log_entry_to_json(entry)["fields"] == fields
