"""A sandbox that was made outside of any project: as a JSON document, and in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from nexus.providers.operating import LiveSandbox
from nexus.render.documents import FORMAT_VERSION, Json
from nexus.render.operating import display_name, moment
from nexus.render.values import duration

_KEY_OF_ANTHROPIC = "ANTHROPIC_API_KEY"


def created_to_json(
    sandbox: LiveSandbox,
    *,
    template: str,
    timeout: int,
    env_vars: Mapping[str, str],
    packages: Sequence[str],
    has_startup_script: bool,
    port: int,
    url: str,
    adoption: str,
    block: str,
) -> Json:
    """``env_vars`` are only counted."""
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "sandbox_id": sandbox.id,
        "e2b_sandbox_id": sandbox.id,
        "name": display_name(sandbox),
        "template": template,
        "status": sandbox.status,
        "env_vars_configured": len(env_vars),
        "anthropic_key_configured": _KEY_OF_ANTHROPIC in env_vars,
        "packages_to_install": list(packages),
        "startup_script_configured": has_startup_script,
        "timeout": timeout,
        "metadata": dict(sandbox.metadata),
        "port": port,
        "url": url,
        "created_at": moment(sandbox.started_at),
        "expires_at": moment(sandbox.expires_at),
        "adoption": {"manifest": block, "command": adoption},
    }


def created_text(sandbox: LiveSandbox, now: datetime, *, port: int, url: str, adoption: str, block: str) -> str:
    left = max((sandbox.expires_at - now).total_seconds(), 0)
    indented = "".join(f"    {line}\n" for line in block.splitlines())
    return (
        f"{display_name(sandbox)} is {sandbox.status}\n"
        f"  id {sandbox.id}, its time ends in {duration(left)}\n"
        f"  {url} leads to its port {port}\n"
        f"It belongs to no project. To keep it in one, add this to nexus.yaml and apply:\n{indented}"
        f"Or add only its block, and take it over with: {adoption}"
    )
