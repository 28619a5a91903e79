"""Lines of a sandbox's log, as E2B tells them, and whose work they are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from e2b.api.client.models import SandboxLogEntry

from nexus.providers.e2b.inside import OWN_WORK, RUN_FOLDER
from nexus.providers.operating import LogEntry

_OUTPUTS: Final = frozenset({"stdout", "stderr", "pty"})


def log_entry(line: SandboxLogEntry, shown: Callable[[str], str]) -> LogEntry:
    """One line, with all of its texts passed through ``shown``, which takes secrets out."""
    fields = {name: str(value) for name, value in line.fields.additional_properties.items()}
    own = _is_own(fields)
    said = fields.pop("data", None) if fields.get("event_type") in _OUTPUTS else None
    return LogEntry(
        time=line.timestamp,
        level=line.level.value,
        message=shown(line.message if said is None else said),
        fields={name: shown(value) for name, value in fields.items()},
        operation=fields.get("operation_id", ""),
        own=own,
    )


def _is_own(fields: Mapping[str, str]) -> bool | None:
    """Only the start of a process says what was started, and only a request for a file which file."""
    if "command" in fields:
        return f"-c {OWN_WORK}" in fields["command"]
    if fields.get("path"):
        return fields["path"].startswith(f"{RUN_FOLDER}/")
    return None
