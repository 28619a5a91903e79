"""Marks on living sandboxes that are seen from outside: rules that deny an address which nobody has.

The metadata that a sandbox is made with can't be changed. Its network can, whether somebody works in it or not, and is
kept while it is paused. The addresses are of the network that is reserved for documentation: no packet ever goes there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from e2b import SandboxInfo
from e2b.sandbox.sandbox_api import SandboxNetworkUpdate

RELEASED: Final = "192.0.2.119"
"""Let go: it stays in the account, and is none of the project's any more."""

TAKEN: Final = "192.0.2.120"
"""Taken from its pool: it is somebody's own."""


def bears(info: SandboxInfo, mark: str) -> bool:
    """Of one that was looked at by itself: lists don't tell of networks."""
    rules = info.network or {}
    return mark in [str(rule).partition("/")[0] for rule in rules.get("deny_out") or ()]


def marked(allow: Iterable[str], deny: Iterable[str], mark: str) -> SandboxNetworkUpdate:
    """These rules, and the mark."""
    return SandboxNetworkUpdate(allow_out=[*allow], deny_out=[*deny, mark])
