"""What ``nexus upload`` and ``nexus download`` share: the bar, and what is said in the end."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import show_diagnostics
from nexus.cli.live import folder_of, on_live
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncFolder, AsyncSandboxHandle, Copied, FoundSandbox

OnProgress = Callable[[int, int], None]
Copy = Callable[["AsyncSandboxHandle", OnProgress], Awaitable["Copied"]]
"""Copies from or to a sandbox."""


def run_copy(
    settings: Settings,
    sandbox: str,
    copy: Copy,
    *,
    verb: str,
    source: str,
    environment: str,
    local: bool,
    as_json: bool,
) -> int:
    """Find the sandbox, copy with a bar on a terminal, and say what was copied. ``verb`` is upload or download."""
    from nexus.render.carrying import copied_text, copied_to_json, progress_bar

    started = time.monotonic()
    with progress_bar(settings.console(stderr=True), f"{verb} {source}") as on_progress:

        async def work(folder: AsyncFolder) -> tuple[FoundSandbox, Copied]:
            handle = folder.sandbox(sandbox)
            return await handle.found(), await copy(handle, on_progress)

        found, copied = on_live(folder_of(settings, environment, local=local), work)
    seconds = time.monotonic() - started
    show_diagnostics(settings, copied.warnings)
    if not as_json:
        click.echo(copied_text(copied.files, target=copied.target, is_folder=copied.is_folder, seconds=seconds))
        return 0
    document = copied_to_json(
        copied.files,
        sandbox_id=found.id,
        address=found.address,
        source=source,
        target=copied.target,
        is_folder=copied.is_folder,
        seconds=seconds,
        at=datetime.now(UTC),
        took_name=f"{verb}_time",
    )
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    return 0
