"""Names that nexus gives to what has no metadata: templates and volumes in E2B's account."""

from __future__ import annotations

import hashlib
import re

from nexus.model.addresses import Address


def e2b_name(project: str, environment: str, address: Address) -> str:
    """``project--environment--name`` in lower case, with the instance's key where there is one.

    Keys may hold anything; one that does not survive as part of a name is told apart by a digest.
    """
    parts = [project, environment, address.name]
    if address.key is not None:
        slug = re.sub(r"[^a-z0-9_-]+", "-", address.key.lower()).strip("-")[:40]
        lossless = slug == address.key and "--" not in slug
        parts.append(slug if lossless else f"{slug or 'key'}-{hashlib.sha256(address.key.encode()).hexdigest()[:8]}")
    return "--".join(parts).lower()
