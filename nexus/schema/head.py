"""The keys of a manifest that are not sections of named blocks: what it is, where it works, what became of the old."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nexus.kinds.durations import DURATION_SCHEMA

API_VERSION: Final = "nexus/v1"
PROJECT_PATTERN: Final = "^[A-Za-z][A-Za-z0-9_-]{0,62}$"
TARGETS: Final = ("local", "e2b")
TIERS: Final = ("hobby", "pro")


def _rate(description: str) -> dict[str, object]:
    return {"type": "number", "minimum": 0.01, "description": description}


def _count(description: str, minimum: int) -> dict[str, object]:
    return {"type": "integer", "minimum": minimum, "description": description}


_PROVIDER: Final = {
    "type": "object",
    "properties": {
        "target": {"enum": [*TARGETS], "description": "The embedded local engine, or E2B."},
        "tier": {
            "enum": [*TIERS],
            "description": "The plan of the account: its limits are kept, and told when planning. Numbers below win.",
        },
        "concurrent_sandboxes": _count("How many sandboxes the account may run at once.", 1),
        "max_timeout": {**DURATION_SCHEMA, "description": "The longest timeout that the account allows."},
        "creates_per_second": _rate("How many sandboxes may be started in a second."),
        "api_requests_per_second": _rate("How many other operations of the API may begin in a second."),
        "sandbox_requests_per_second": _rate("How many operations inside of sandboxes may begin in a second."),
        "parallelism": {**_count("Operations at once; --parallelism wins.", 1), "maximum": 256, "default": 10},
        "retries": {**_count("How often a call that failed is made again at most.", 0), "maximum": 20, "default": 4},
        "retry_budget": {**_count("How many calls one apply makes again in all.", 0), "default": 500},
    },
    "additionalProperties": False,
    "description": "Where the sandboxes live, and what the account allows.",
    "examples": [{"target": "e2b", "tier": "pro"}],
}

HEAD: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "apiVersion": {"enum": [API_VERSION], "description": "The version of this language."},
        "project": {
            "title": "name of letters, digits, - and _ that begins with a letter",
            "type": "string",
            "pattern": PROJECT_PATTERN,
            "description": "The project's name: part of the names of what nexus makes.",
            "examples": ["data-pipeline"],
        },
        "include": {
            "title": "list of paths and globs",
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
            ],
            "description": "More files of the project, merged section by section.",
            "examples": [["sandboxes/*.yaml"]],
        },
        "provider": _PROVIDER,
        "moved": {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1},
            "description": "Addresses that resources had, and those that they have now.",
            "examples": [{"sandbox.old": "sandbox.new"}],
        },
        "removed": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "from": {"type": "string", "minLength": 1, "description": "The address that it had."},
                    "lifecycle": {
                        "type": "object",
                        "properties": {
                            "destroy": {
                                "type": "boolean",
                                "default": True,
                                "description": "Whether it is destroyed; false forgets it and leaves it alone.",
                            }
                        },
                        "additionalProperties": False,
                        "description": "What becomes of what the block made.",
                    },
                },
                "required": ["from"],
                "additionalProperties": False,
            },
            "description": "Blocks that are gone on purpose, and what becomes of what they made.",
            "examples": [[{"from": "sandbox.old", "lifecycle": {"destroy": False}}]],
        },
        "import": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "to": {"type": "string", "minLength": 1, "description": "The address of the block it is to be."},
                    "id": {"type": "string", "minLength": 1, "description": "The id of the live sandbox."},
                },
                "required": ["to", "id"],
                "additionalProperties": False,
            },
            "description": "Live sandboxes that nexus did not make, and the blocks that take them over.",
            "examples": [[{"to": "sandbox.web", "id": "iabc123"}]],
        },
    }
)
"""The keys of a manifest that are not sections of named blocks."""
