"""What the local engine says of itself, for people."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from nexus.render.values import duration, size


def print_status(console: Console, status: Mapping[str, object]) -> None:
    """A line for each thing that is known; what is not known here is shown as it came."""
    shown = {name: value for name, value in status.items() if name != "now" and value != []}
    rows = {_label(name): _value(name, value) for name, value in shown.items()}
    width = max(map(len, rows), default=0)
    for label, text in rows.items():
        console.print(Text.assemble((f"{label:<{width}}", "faint"), f"  {text}"))


def _label(name: str) -> str:
    """``startedAt`` → ``started at``."""
    special = {"engineID": "engine", "pid": "process", "uptimeSeconds": "uptime", "apiURL": "API", "sandboxURL": "edge"}
    return special.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _value(name: str, value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float() if name == "uptimeSeconds":
            return duration(value)
        case int() if name.endswith("Bytes"):
            return size(value)
        case list():
            return "; ".join(map(str, value))
        case Mapping():
            return ", ".join(f"{_value(key, item)} {_unit(key)}" for key, item in value.items())
        case _:
            return str(value)


def _unit(name: str) -> str:
    """What follows a number: ``2 running``, ``75.5 GiB free``."""
    return _label(name.removesuffix("Bytes"))
