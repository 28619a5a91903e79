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


def _said(description: str, **more: object) -> dict[str, object]:
    return {"type": "string", "minLength": 1, "description": description, **more}


_KEY: Final = {
    "type": "object",
    "properties": {
        "env": _said("The environment variable that holds it."),
        "file": _said("The file that holds it."),
        "command": _said("A command of the shell that writes it."),
    },
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
}

_STATE: Final = {
    "type": "object",
    "properties": {
        "backend": {
            "enum": ["local", "s3", "gcs", "azure", "postgres", "http"],
            "default": "local",
            "description": "What keeps it: the project's folder, an object store, PostgreSQL, or a server that speaks "
            "Terraform's protocol.",
        },
        "bucket": _said("s3, gcs: the bucket. It must exist."),
        "account": _said("azure: the storage account."),
        "container": _said("azure: the container. It must exist."),
        "prefix": _said("Object stores and postgres: what names begin with; the project's name if not said."),
        "region": _said("s3: the bucket's region."),
        "endpoint": _said("s3, azure: the server, where it is not the cloud's own.", pattern="^https?://"),
        "host": _said("postgres: the server. This and what follows may as well come from PGHOST and the like."),
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "postgres: its port."},
        "database": _said("postgres: the database."),
        "user": _said("postgres: who we are. The password is never in the manifest: PGPASSWORD, or ~/.pgpass."),
        "sslmode": {
            "enum": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
            "description": "postgres: how the connection is protected.",
        },
        "schema": _said("postgres: the schema that the table is in; nexus if not said.", pattern="^[a-z_][a-z0-9_]*$"),
        "address": _said("http: below it, every environment has an address of its own.", pattern="^https?://"),
        "lock_suffix": _said("http: what is appended to an environment's address to lock it, such as /lock."),
        "update_method": {"enum": ["POST", "PUT"], "default": "POST", "description": "http: how it is written."},
        "lock_method": {"enum": ["LOCK", "PUT", "POST"], "default": "LOCK", "description": "http: how it is locked."},
        "unlock_method": {
            "enum": ["UNLOCK", "DELETE", "PUT", "POST"],
            "default": "UNLOCK",
            "description": "http: how it is unlocked.",
        },
        "encryption": {
            "type": "object",
            "properties": {
                "key": {**_KEY, "description": "Where the key is: 32 bytes in base64."},
                "previous": {
                    "type": "array",
                    "items": _KEY,
                    "description": "Where keys are that were used before: they open, and seal nothing.",
                },
            },
            "required": ["key"],
            "additionalProperties": False,
            "description": "State, journal and older states leave this machine only encrypted.",
            "examples": [{"key": {"env": "NEXUS_STATE_KEY"}}],
        },
        "lease": {
            **DURATION_SCHEMA,
            "default": "60s",
            "description": "How long a lock outlives the last sign of life of its holder. At least 5s.",
        },
    },
    "additionalProperties": False,
    "description": "Where what is remembered of the project is kept.",
    "examples": [{"backend": "s3", "bucket": "acme-nexus", "region": "eu-central-1"}],
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
        "ttl": {
            **DURATION_SCHEMA,
            "description": "How long the environment is wanted after its last apply: no sandbox lives longer, and "
            "«nexus env prune» removes what is left of it.",
        },
        "state": _STATE,
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
