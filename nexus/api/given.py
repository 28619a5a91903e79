"""What a program gives, in the form that use cases take it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nexus.model.addresses import Address


def process_or_own(process: Mapping[str, str] | None) -> Mapping[str, str]:
    """A copy of the environment that was given, or of this process's own."""
    return dict(os.environ if process is None else process)


def address_of(text: str | Address) -> Address:
    """Raises ValueError for what is no address."""
    return text if isinstance(text, Address) else Address.parse(text)
