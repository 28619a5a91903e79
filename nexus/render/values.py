"""Values as people read them: short, on one line, and never a secret."""

from __future__ import annotations

import json
from datetime import datetime

from nexus.model.values import Fingerprint, Sensitive, Unknown, Value, has_sensitive, is_wholly_known

SENSITIVE = "(sensitive)"
UNKNOWN_TEXT = "(known after apply)"
ABSENT = "(none)"
LIMIT = 72


def short(value: Value, limit: int = LIMIT) -> str:
    """One line of at most ``limit`` characters; what is folded says how much there is."""
    text = public_text(value)
    if "\n" in text:
        lines = text.splitlines()
        text = f"{_cut(lines[0], limit - 14)} … ({plural(len(lines), 'line')})"
    return _cut(text, limit)


def public_text(value: Value) -> str:
    """The whole value, a text with several lines as it is."""
    match value:
        case None:
            return ABSENT
        case Unknown():
            return UNKNOWN_TEXT
        case Sensitive() | Fingerprint():
            return SENSITIVE
        case str():
            return value if "\n" in value else quoted(value)
        case dict() | list():
            return _structure(value)
        case _:
            return json.dumps(value)


def quoted(text: str) -> str:
    """In quotes as JSON has them; in single ones where that spares escaping."""
    written = json.dumps(text, ensure_ascii=False)
    return f"'{text}'" if f'"{text}"' == written.replace('\\"', '"') != written and "'" not in text else written


def _structure(value: dict[str, Value] | list[Value]) -> str:
    if is_wholly_known(value) and not has_sensitive(value):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {public_text(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(public_text(item) for item in value) + "]"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 1)] + "…"


def duration(seconds: float) -> str:
    """``0.4s``, ``12s``, ``3m05s``, ``2h10m``."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def size(count: float) -> str:
    """Bytes for people, in binary units: ``512 B``, ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def plural(count: int, noun: str, many: str | None = None) -> str:
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def local_time(text: str) -> str:
    """To the second, in this machine's time zone."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text
