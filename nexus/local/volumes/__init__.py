"""The content of volumes, as E2B's content API offers it: looked at and changed from outside of any sandbox."""

from nexus.local.volumes.content import VolumeContent
from nexus.local.volumes.entries import Entry, NotedOwnership, Ownership, RealOwnership, Wishes

__all__ = ["Entry", "NotedOwnership", "Ownership", "RealOwnership", "VolumeContent", "Wishes"]
