"""What tools answer: the JSON document of the command's ``--json``, and beside it the text that people get."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mcp.types import CallToolResult, TextContent
from rich.console import Console

from nexus.model.diagnostics import Diagnostic
from nexus.model.error_codes import ErrorCode
from nexus.render.console import Look, console
from nexus.render.diagnostics import ReadSource, diagnostic_text
from nexus.render.documents import Json, failure_to_json
from nexus.schema.published import published_schema

_LONGEST: Final = 1_000_000
"""Characters of one text in an answer: who talks to a model has no use for more."""

FAILURE: Final = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``failed`` says that the work was not done: clients show that, and models react to it."""

    document: Json
    text: str
    failed: bool = False

    def to_mcp(self) -> CallToolResult:
        return CallToolResult(
            content=[TextContent(text=clipped(self.text))],
            structured_content=self.document,
            is_error=self.failed,
        )


_HERE: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.SANDBOX_NOT_FOUND: "sandbox_list shows what there is",
    ErrorCode.SANDBOX_NOT_RUNNING: "sandbox_configure with restart: true makes a paused one run again",
}
"""What a tool does about it, where the hints of the command line name commands."""


def failure(diagnostics: Sequence[Diagnostic], read_source: ReadSource) -> Answer:
    """Why a tool could not do its work: every error with its code, its place, and what to do."""
    helped = [_with_tool(item) for item in diagnostics]
    return Answer(document=failure_to_json(helped), text=diagnostics_as_text(helped, read_source), failed=True)


def _with_tool(diagnostic: Diagnostic) -> Diagnostic:
    here = None if diagnostic.error_code is None else _HERE.get(diagnostic.error_code)
    return diagnostic if here is None else replace(diagnostic, hint=f"{here}; {diagnostic.hint}".removesuffix("; "))


def diagnostics_as_text(diagnostics: Iterable[Diagnostic], read_source: ReadSource) -> str:
    """As on a terminal; each that has a published code begins with it."""
    parts: list[str] = []
    for item in diagnostics:
        text = diagnostic_text(item, read_source).plain.rstrip()
        parts.append(text if item.error_code is None else f"{item.error_code}\n{text}")
    return "\n".join(parts)


def drawn(draw: Callable[[Console], None]) -> str:
    """What ``draw`` prints, as plain text."""
    page = io.StringIO()
    draw(plain_console(page))
    return page.getvalue().rstrip()


def plain_console(page: io.StringIO) -> Console:
    return console(Look(color=False, live=False), file=page)


def clipped(text: str) -> str:
    """The text, or its end where it is longer than anybody reads: what went wrong is said last."""
    if len(text) <= _LONGEST:
        return text
    return f"[{len(text) - _LONGEST} characters before this were left out]\n{text[-_LONGEST:]}"


def answer_schema(name: str) -> Json:
    """The schema of a tool's document: the published one called ``name``, or that of a failure."""
    defs: dict[str, object] = {}
    for part in (name, FAILURE):
        whole = dict(published_schema(part))
        inner = whole.pop("$defs", {})
        assert isinstance(inner, dict)
        for key, value in {part: whole, **{f"{part}-{key}": value for key, value in inner.items()}}.items():
            defs[key] = _rerouted(value, part)
    choice = [{"$ref": f"#/$defs/{part}"} for part in (name, FAILURE)]
    return {"type": "object", "anyOf": choice, "$defs": defs}


def _rerouted(value: object, part: str) -> object:
    """The same, with references to where the definitions of ``part`` are now, as plainly as clients need it."""
    match value:
        case Mapping():
            moved = {key: _rerouted(item, part) for key, item in value.items() if key != "$schema"}
            if "$ref" in moved:
                moved["$ref"] = str(moved["$ref"]).replace("#/$defs/", f"#/$defs/{part}-")
            if isinstance(types := moved.get("type"), list):
                # Some clients understand one type at a time only.
                del moved["type"]
                moved["anyOf"] = [{"type": name} for name in types]
            return moved
        case list():
            return [_rerouted(item, part) for item in value]
        case _:
            return value
