"""Lines of E2B's log, as its envd writes them, and whose work they are about."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from e2b.api.client.models import LogLevel, SandboxLogEntry, SandboxLogEntryFields

from nexus.providers.e2b.inside import OWN_WORK
from nexus.providers.e2b.log_entries import log_entry
from nexus.providers.operating import LogEntry

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def read(message: str = "", **fields: str) -> LogEntry:
    told = SandboxLogEntryFields.from_dict(fields)
    line = SandboxLogEntry(timestamp=NOON, message=message, level=LogLevel.INFO, fields=told)
    return log_entry(line, lambda text: text.replace("secret", "…"))


@pytest.mark.parametrize(
    ("fields", "own"),
    [
        ({"command": f"/bin/bash -l -c {OWN_WORK}\ncat /etc/hosts"}, True),
        ({"command": "/bin/bash -l -c export NEXUS_JOB=1"}, False),
        ({"command": f"/bin/bash -l -c grep '{OWN_WORK}' notes"}, False),
        ({"path": "/run/nexus/jobs/1/script"}, True),
        ({"path": "/home/user/run/nexus/notes"}, False),
        ({"path": ""}, None),
        ({"event_type": "stdout"}, None),
    ],
)
def test_starts_and_files_tell_whose_work_it_is(fields: dict[str, str], own: bool | None) -> None:
    entry = read("Process with pid 7 started", operation_id="4", **fields)
    assert (entry.own, entry.operation) == (own, "4")


def test_what_a_process_printed_is_the_message() -> None:
    entry = read("Streaming process event (flush)", event_type="stdout", operation_id="4", data="a secret\n")
    assert entry.message == "a …\n"
    assert entry.fields == {"event_type": "stdout", "operation_id": "4"}


def test_a_line_without_what_was_printed_keeps_its_message() -> None:
    assert read("Streaming process event", event_type="stdout", data_bytes="12").message == "Streaming process event"
    assert read("Initialized", data="kept").fields == {"data": "kept"}
