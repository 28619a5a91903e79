"""Where providers tell what they are doing, in changes and in what operates live sandboxes."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """Where a call tells what it is doing. Both may be called any number of times until the call returns.

    Texts MUST NOT hold revealed secrets.
    """

    def progress(self, message: str) -> None:
        """A short sentence of what is going on; replaces the one before."""

    def log(self, stream: str, text: str) -> None:
        """One line that something out there wrote, without its line end. ``stream``: stdout, stderr or build."""
