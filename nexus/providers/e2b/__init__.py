"""The one provider: everything nexus asks of E2B, through E2B's own SDK. The only room that imports it."""

from nexus.providers.e2b.connection import Settings
from nexus.providers.e2b.provider import E2BProvider

__all__ = ["E2BProvider", "Settings"]
