"""Names of templates: ``[namespace/]alias[:tag]``, or an id. Pure."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from nexus.local.errors import InvalidRequestError

DEFAULT_TAG = "default"
# The one namespace of a local engine, where E2B has the slug of a team.
NAMESPACE = "local"
_ALIAS = re.compile(r"[a-z0-9_-]{1,128}")
_TAG = re.compile(r"[a-z0-9_.-]{1,128}")


@dataclass(frozen=True, slots=True)
class Reference:
    """``name`` is an alias or an id."""

    name: str
    tag: str = DEFAULT_TAG

    def __str__(self) -> str:
        return self.name if self.tag == DEFAULT_TAG else f"{self.name}:{self.tag}"


def parse_reference(text: str) -> Reference:
    """Raises InvalidRequestError for something that can be no template's name."""
    whole, _, tag = text.strip().lower().partition(":")
    namespace, slash, name = whole.rpartition("/")
    if (slash and not _ALIAS.fullmatch(namespace)) or not _ALIAS.fullmatch(name):
        raise InvalidRequestError(f"invalid template reference '{text}'")
    if slash and namespace != NAMESPACE:
        # No such template can exist here: kept as part of the name, it is simply not found.
        name = whole
    return Reference(name, check_tag(tag) if tag else DEFAULT_TAG)


def check_tag(text: str) -> str:
    tag = text.strip().lower()
    if not _TAG.fullmatch(tag) or _is_uuid(tag):
        raise InvalidRequestError(f"invalid tag '{text}': letters, digits, '.', '_' and '-' are allowed, and no UUID")
    return tag


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
