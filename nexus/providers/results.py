"""Results of steps that are kept on this machine: what a run left, and its files by the digest of their content.

The seam between the provider, which brings files and takes them away, and whoever keeps them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from nexus.model.runs import StepResult


class Results(Protocol):
    """Keeps a bounded amount, and gives up what was used longest ago. MUST NOT be given a secret."""

    def find(self, key: str) -> StepResult | None:
        """The result of an earlier run with this key, if all its files are still there."""

    def note(self, key: str, result: StepResult) -> None:
        """Keep a result whose files are kept already. That it can't be written is no error."""

    def has(self, sha256: str) -> bool:
        """Whether a content is kept; it counts as used by that."""

    def read(self, sha256: str) -> AsyncIterator[bytes]:
        """A content in pieces. Raises OSError when it is not there any more."""

    async def keep(self, sha256: str, size: int, chunks: AsyncIterator[bytes]) -> bool:
        """Take a content of ``size`` bytes in, as it comes; False when it turns out to be another one.

        Raises OSError when it can't be written, and whatever ``chunks`` raise; then nothing is kept.
        """
