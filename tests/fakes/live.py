"""Live sandboxes as E2B shows them, as short as tests need them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from nexus.providers.operating import LiveSandbox

NOW: Final = datetime(2026, 11, 23, 14, tzinfo=UTC)


def live(sandbox_id: str, template: str, address: str = "") -> LiveSandbox:
    """One that runs, and whose time ends now."""
    return LiveSandbox(
        id=sandbox_id,
        status="running",
        template=template,
        started_at=NOW,
        expires_at=NOW,
        cpus=2,
        memory_mib=512,
        address=address,
    )
