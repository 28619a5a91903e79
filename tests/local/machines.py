"""The machines of an engine, as the kernel knows them: whatever the engine's records and folders say."""

from __future__ import annotations

from pathlib import Path

from nexus.local.isolation.runtime_folder import RuntimeFolder
from nexus.local.settings import runtime_folder


def living_machines(home: Path) -> set[str]:
    """Ids of those whose keeper listens, also on a socket that has been unlinked since."""
    bound = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()}
    places = (Path(address) for address in bound if address.startswith(str(runtime_folder(home))))
    return {place.parent.name for place in places if place == RuntimeFolder(place.parent).control}
