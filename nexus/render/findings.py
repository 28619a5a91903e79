"""What a doctor found, for people and as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from nexus.render.documents import FORMAT_VERSION, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a doctor. ``remedy`` is a command or a sentence that mends it, "" when nothing needs mending.

    Of those that ``decide``, one has to be right for the target to be usable.
    """

    title: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    decides: bool = False


def is_usable(findings: Sequence[Finding]) -> bool:
    """Whether one of the ways to isolate, or the account, works."""
    return any(item.ok for item in findings if item.decides)


def findings_to_json(findings: Sequence[Finding], target: str) -> Json:
    return {
        "format_version": FORMAT_VERSION,
        "target": target,
        "usable": is_usable(findings),
        "findings": [
            {
                "title": item.title,
                "ok": item.ok,
                "detail": item.detail,
                "remedy": item.remedy,
                "decides": item.decides,
            }
            for item in findings
        ],
    }


def print_findings(console: Console, findings: Sequence[Finding], target: str) -> None:
    """A line each, with what mends it under it, and the verdict."""
    for item in findings:
        mark = ("  ✓ ", "ok") if item.ok else ("  ✗ ", "error" if item.decides else "warning")
        text = Text.assemble(mark, (item.title, "bold"))
        if item.detail:
            text.append(f": {item.detail}")
        for line in item.remedy.splitlines():
            text.append("\n      hint: ", style="hint").append(line)
        console.print(text)
    if is_usable(findings):
        console.print(Text(f"The target «{target}» can be used.", style="ok"))
    else:
        console.print(Text(f"The target «{target}» can't be used as it is.", style="error"))
