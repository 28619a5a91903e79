"""What ``nexus configure`` does and has done: lines while it works, a JSON document, and sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from nexus.providers.operating import Configured
from nexus.render.documents import Json
from nexus.render.operating import display_name, sandbox_head
from nexus.render.values import duration, plural


@dataclass(frozen=True, slots=True)
class Telling:
    """Says what is going on, a line each; implements :class:`nexus.providers.reporting.Report`."""

    console: Console

    def progress(self, message: str) -> None:
        self.console.print(Text(message))

    def log(self, stream: str, text: str) -> None:  # noqa: ARG002 - both are shown alike
        self.console.print(Text(f"  │ {text}", style="faint"))


@dataclass(frozen=True, slots=True)
class Silence:
    """Says nothing: a document tells it all in the end."""

    def progress(self, message: str) -> None: ...

    def log(self, stream: str, text: str) -> None: ...


def configured_to_json(done: Configured) -> Json:
    return {
        **sandbox_head(done.sandbox),
        "status": "configured",
        "env_vars_updated": done.env_updated,
        "env_vars_removed": done.env_removed,
        "packages_installed": done.installed,
        "packages_removed": done.uninstalled,
        "commands_executed": done.commands,
        "network_updated": done.network_changed,
        "restarted": done.restarted,
        "restart_required": done.restart_required,
        "anthropic_key_configured": done.has_anthropic_key,
        "configuration_time": round(done.seconds, 3),
        "written_to": done.written or None,
    }


def configured_text(done: Configured) -> str:
    lines = [f"{display_name(done.sandbox)} is configured, in {duration(done.seconds)}"]
    parts = list(_parts(done))
    lines += [f"  {', '.join(parts)}"] if parts else []
    lines += [f"  {sentence}" for sentence in _remarks(done)]
    return "\n".join(lines)


def _parts(done: Configured) -> Iterator[str]:
    if done.network_changed:
        yield "network changed"
    if done.env_updated:
        yield f"{plural(done.env_updated, 'variable')} set"
    if done.env_removed:
        yield f"{plural(done.env_removed, 'variable')} unset"
    if done.uninstalled:
        yield f"{plural(done.uninstalled, 'package')} removed"
    if done.installed:
        yield f"{plural(done.installed, 'package')} installed"
    if done.commands:
        yield f"{plural(done.commands, 'command')} run"
    if done.restarted:
        yield "restarted"


def _remarks(done: Configured) -> Iterator[str]:
    if done.restart_wanted and not done.restarted:
        yield "there was nothing to restart: no start_command runs in it"
    if done.restart_required:
        yield "what start_command started keeps its variables until it is restarted: --restart"
    if done.written:
        yield f"{done.written} says so, too"
