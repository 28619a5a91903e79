"""The reference of the Python API as Markdown, made from its signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator

from nexus.api import names as api

_WIDTH = 100
_ROLE = re.compile(r":\w+:`([\w.]+)`")
_QUOTED = re.compile(r"(: |-> )'([^']*)'(?= = |[,)]|$)")
_MADE_UP = re.compile(r"\w+\(.*\)", re.DOTALL)
_DATA = (
    api.PlanOptions,
    api.Plan,
    api.Change,
    api.FieldDiff,
    api.Opening,
    api.PlanCost,
    api.SandboxCost,
    api.Cost,
    api.Applied,
    api.DriftReport,
    api.Drift,
    api.Alert,
    api.Diagnostic,
)
_LIVE = (
    *(api.Executed, api.Status, api.LiveSandbox, api.Usage, api.Listed, api.Load, api.Logs, api.LogEntry, api.Copied),
    *(api.Carried, api.Configured, api.Stopped, api.Moved, api.Deleted, api.Deletion, api.Snapshot, api.Forks),
    *(api.Created, api.FoundSandbox, api.Whereabouts),
)
_REMEMBERED = (api.ListedRun, api.Run, api.OperationRun, api.StepResult, api.Edited, api.Rebuilt, api.Imported)
_OTHERS = (api.Formatted, api.Formatting, api.Locked, api.Difference, api.Standing)


def functions_reference() -> str:
    """What is offered beside the classes."""
    return "\n".join(_callable(f"nexus.{item.__name__}", item) for item in _functions())


def project_reference() -> str:
    """The project, in both faces."""
    streams: list[Callable[..., object]] = [
        api.AsyncProject.load,
        api.AsyncProject.applying,
        api.AsyncProject.destroying,
        api.AsyncProject.running,
    ]
    more = (_callable(f"AsyncProject.{item.__name__}", item) for item in streams)
    return "\n".join([*_members(api.Project), *more])


def sandbox_reference() -> str:
    """One live sandbox."""
    terminal = _callable("AsyncSandboxHandle.terminal", api.AsyncSandboxHandle.terminal)
    return "\n".join([*_members(api.SandboxHandle), terminal.replace("AsyncIterator[", "AsyncContextManager[")])


def data_reference() -> str:
    """Fields of what methods answer with."""
    return "\n".join(_fields(kind) for kind in (*_DATA, *_LIVE, *_REMEMBERED, *_OTHERS))


def events_reference() -> str:
    """Fields of every event, in the order in which they come."""
    return "\n".join(_fields(kind) for kind in typing.get_args(api.Event))


def _functions() -> Iterator[Callable[..., object]]:
    for name in api.__all__:
        item: object = getattr(api, name)
        if isinstance(item, types.FunctionType):
            yield item


def _members(kind: type) -> Iterator[str]:
    members: dict[str, object] = {}
    for base in kind.__mro__:
        for name, item in vars(base).items():
            if not name.startswith("_"):
                members.setdefault(name, item)
    rows = [f"| `{name}` | {_words(item.__doc__)} |" for name, item in members.items() if isinstance(item, property)]
    yield "\n".join(["| attribute | meaning |", "| --- | --- |", *rows, ""])
    for name, item in members.items():
        if inspect.isfunction(item):
            yield _callable(name, item).replace("-> AsyncIterator[", "-> Iterator[")


def _callable(name: str, function: Callable[..., object]) -> str:
    return f"#### {name}\n\n```text\n{_signature(name, function)}\n```\n\n{_words(function.__doc__)}\n"


def _signature(name: str, function: Callable[..., object]) -> str:
    """On one line where it fits, else a parameter a line."""
    signature = inspect.signature(function)
    wanted = [item for item in signature.parameters.values() if item.name not in ("self", "cls")]
    line = f"{name}{_plain(str(signature.replace(parameters=wanted)))}"
    if len(line) <= _WIDTH:
        return line
    lines = [f"    {_plain(str(item))}," for item in wanted]
    first = next((place for place, item in enumerate(wanted) if item.kind is item.KEYWORD_ONLY), None)
    if first is not None:
        lines.insert(first, "    *,")
    return "\n".join([f"{name}(", *lines, f") -> {signature.return_annotation}"])


def _plain(signature: str) -> str:
    """Annotations are texts, and would be shown in quotes."""
    return _QUOTED.sub(lambda match: f"{match[1]}{match[2]}", signature)


def _fields(kind: type) -> str:
    fields = [f"{item.name}: {item.type}" for item in dataclasses.fields(kind)]
    for name, item in vars(kind).items():
        if isinstance(item, property) and item.fget is not None and not name.startswith("_"):
            fields.append(f"{name}: {inspect.signature(item.fget).return_annotation}  # property")
    name = next((name for name in api.__all__ if getattr(api, name) is kind), kind.__name__)
    parts = [f"#### {name}", _words(kind.__doc__), "\n".join(["```text", *fields, "```"])]
    return "\n\n".join(filter(None, parts)) + "\n"


def _words(text: str | None) -> str:
    """A docstring as Markdown; "" for what dataclasses make up for themselves."""
    words = inspect.cleandoc(text or "")
    return "" if _MADE_UP.fullmatch(words) else _ROLE.sub(r"`\1`", words).replace("``", "`")
