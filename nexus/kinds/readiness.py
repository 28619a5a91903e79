"""Readiness: how one knows that a started process can be used."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum

from nexus.kinds.durations import DAY, DURATION_SCHEMA, duration
from nexus.kinds.reading import InvalidValue, clean_path, inside, integer, line, mapping, shown, text, within
from nexus.model.values import Value

DEFAULT_TIMEOUT = 120
START_LOG = "/var/log/nexus-start.log"
"""Where what start_command writes lies, inside a sandbox."""


class ReadyCheck(StrEnum):
    PORT = "port"
    URL = "url"
    COMMAND = "command"
    FILE = "file"
    PROCESS = "process"
    LOG = "log"


PORT_SCHEMA = {"type": "integer", "minimum": 1, "maximum": 65535}
READY_SCHEMA = {
    "type": "object",
    "properties": {
        "port": {**PORT_SCHEMA, "description": "Something listens on this port."},
        "url": {"type": "string", "pattern": "^https?://", "description": "This URL answers with success."},
        "command": {"type": "string", "minLength": 1, "description": "This command ends with exit code 0."},
        "file": {"type": "string", "pattern": "^/", "description": "This file exists."},
        "process": {"type": "string", "minLength": 1, "description": "A process of this name runs."},
        "log": {
            "type": "string",
            "minLength": 1,
            "description": "A line that start_command wrote matches this extended regular expression.",
        },
        "timeout": {**DURATION_SCHEMA, "description": "How long to wait.", "default": DEFAULT_TIMEOUT},
    },
    "additionalProperties": False,
    "minProperties": 1,
    "examples": [{"port": 8888}, {"url": "http://localhost:3000/health", "timeout": "2m"}],
}


@dataclass(frozen=True, slots=True)
class ReadySpec:
    """``value`` is what ``check`` looks at, as text; ``timeout`` is in seconds."""

    check: ReadyCheck
    value: str
    timeout: int = DEFAULT_TIMEOUT

    @property
    def command(self) -> str:
        """A command for bash that succeeds once, and only when, things are ready."""
        match self.check:
            case ReadyCheck.PORT:
                # The subshell's own stderr too: bash itself reports a refused connection.
                tries = (f"(exec 3<>/dev/tcp/{host}/{self.value}) 2>/dev/null" for host in ("127.0.0.1", "::1"))
                return " || ".join(tries)
            case ReadyCheck.URL:
                return f"curl -fsS -o /dev/null --max-time 5 {shlex.quote(self.value)}"
            case ReadyCheck.FILE:
                return f"[ -e {shlex.quote(self.value)} ]"
            case ReadyCheck.PROCESS:
                return f"pgrep -- {shlex.quote(self.value)} >/dev/null"
            case ReadyCheck.LOG:
                return f"grep -Eq -e {shlex.quote(self.value)} -- {START_LOG}"
            case ReadyCheck.COMMAND:
                return self.value


def read_ready(value: Value) -> Value:
    """``{<check>: …, "timeout": seconds}`` with exactly one check. Raises InvalidValue."""
    block = {key: item for key, item in mapping(value).items() if item is not None}
    checks = [key for key in block if key != "timeout"]
    if len(checks) != 1 or checks[0] not in set(ReadyCheck):
        raise InvalidValue(
            f"exactly one of {', '.join(ReadyCheck)}, not {' and '.join(checks) or 'none of them'}",
        )
    check = ReadyCheck(checks[0])
    readers = {
        ReadyCheck.PORT: integer(1, 65535),
        ReadyCheck.URL: _url,
        ReadyCheck.FILE: clean_path,
        ReadyCheck.PROCESS: line,
        ReadyCheck.COMMAND: text,
        ReadyCheck.LOG: _pattern,
    }
    with within(check.value):
        subject = inside(block[check], readers[check])
    with within("timeout"):
        timeout = inside(block.get("timeout", DEFAULT_TIMEOUT), duration(DAY))
    return {check.value: subject, "timeout": timeout}


def _pattern(value: Value) -> str:
    """An extended regular expression as grep reads it; what no flavour of these could read is refused."""
    pattern = line(value)
    try:
        re.compile(re.sub(r"\[\[:\^?\w+:\]\]|\[:\w+:\]", "[a]", pattern))
    except re.error as problem:
        raise InvalidValue(f"a regular expression, not {shown(pattern)}: {problem}") from None
    return pattern


def _url(value: Value) -> str:
    url = line(value)
    if not url.startswith(("http://", "https://")) or " " in url:
        raise InvalidValue(f"a URL that begins with http:// or https://, not {shown(url)}")
    return url


def ready_from(value: Value) -> ReadySpec | None:
    """The typed form of a known, normalised value."""
    if value is None:
        return None
    block = mapping(value)
    timeout = block["timeout"]
    check = next(key for key in block if key != "timeout")
    return ReadySpec(ReadyCheck(check), str(block[check]), timeout if isinstance(timeout, int) else DEFAULT_TIMEOUT)
