"""What does not fit a schema, as data: the walk makes them, the check gives them places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong at ``path``. ``at_key`` says that the key is to blame, not the value."""

    code: str
    path: Path
    message: str
    hint: str = ""
    at_key: bool = False


def examples(schema: Mapping[str, object]) -> str:
    """« such as "30m" or 90», where the schema has examples that fit into a sentence."""
    found = schema.get("examples")
    if not isinstance(found, list):
        return ""
    texts = [json.dumps(item, ensure_ascii=False) for item in found if not isinstance(item, dict | list)]
    return f" such as {' or '.join(texts[:2])}" if texts else ""
