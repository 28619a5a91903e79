"""What is remembered between runs: the state, the journal of a run under way, and the lock; here, or on a server."""

from __future__ import annotations

from nexus.stores.base import (
    Backend,
    Header,
    Journal,
    JournalContents,
    Lock,
    LockInfo,
    RunLog,
    RunStore,
    StateStore,
    StateVersion,
)
from nexus.stores.documents import FileDocument, SharedDocument
from nexus.stores.durations import Durations
from nexus.stores.entries import Begin, Done, Entry, Failed
from nexus.stores.failures import is_unreadable
from nexus.stores.fold import Folding, fold
from nexus.stores.local import local_backend
from nexus.stores.memory import Memory, memory_backend
from nexus.stores.remote.marks import last_place, remember, remembered_environments
from nexus.stores.remote.opening import open_backend, open_document, remote_backend, resealed
from nexus.stores.results import LocalResults
from nexus.stores.session import Loaded, commit, fingerprint_key, load
from nexus.stores.statefile import decode as decode_state
from nexus.stores.statefile import encode as encode_state

__all__ = [
    "Backend",
    "Begin",
    "Done",
    "Durations",
    "Entry",
    "Failed",
    "FileDocument",
    "Folding",
    "Header",
    "Journal",
    "JournalContents",
    "Loaded",
    "LocalResults",
    "Lock",
    "LockInfo",
    "Memory",
    "RunLog",
    "RunStore",
    "SharedDocument",
    "StateStore",
    "StateVersion",
    "commit",
    "decode_state",
    "encode_state",
    "fingerprint_key",
    "fold",
    "is_unreadable",
    "last_place",
    "load",
    "local_backend",
    "memory_backend",
    "open_backend",
    "open_document",
    "remember",
    "remembered_environments",
    "remote_backend",
    "resealed",
]
