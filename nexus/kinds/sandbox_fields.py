"""The fields of a sandbox, and how the values of those are read that no other kind has."""

from __future__ import annotations

import re

from nexus.kinds.base import Field
from nexus.kinds.block import table
from nexus.kinds.durations import DURATION_SCHEMA, parse_duration
from nexus.kinds.identity import ADDRESS, instance_of, kind_of
from nexus.kinds.meta import SETUP, with_meta
from nexus.kinds.network import NETWORK_SCHEMA, open_network, read_network
from nexus.kinds.pool import POOL
from nexus.kinds.readiness import PORT_SCHEMA
from nexus.kinds.reading import (
    InvalidValue,
    as_text,
    boolean,
    folder_path,
    inside,
    integer,
    line,
    mapping,
    one_of,
    shown,
    user_name,
    within,
)
from nexus.kinds.setup import setup_fields
from nexus.model.addresses import NAME
from nexus.model.changes import Effect
from nexus.model.resources import Each
from nexus.model.values import UNKNOWN, Sensitive, Unknown, Value

ENVD_PORT = 49983
RESERVED_METADATA = "nexus."
DEFAULT_TIMEOUT = 3600


def read_volumes(value: Value, each: Each | None = None) -> Value:
    """E2B's names of volumes by path; a volume may be given by the outputs of one. Raises InvalidValue."""
    found: dict[str, Value] = {}
    for path, item in mapping(value).items():
        with within(path):
            mount = folder_path(path)
            if mount == "/" or mount in found:
                raise InvalidValue(f"mounted at a folder of its own, not at {shown(path)}")
            found[mount] = _volume(instance_of(item, each))
    return found


def _volume(value: Value) -> Value:
    match value:
        case Unknown():
            return UNKNOWN
        case dict() if kind_of(value) == "volume":
            return value.get("name", UNKNOWN)
        case str() if re.fullmatch(r"[A-Za-z0-9_-]+", value):
            return value
        case _:
            raise InvalidValue(f"a volume, not {shown(value)}")


def read_ports(value: Value) -> Value:
    found: dict[str, Value] = {}
    for name, item in mapping(value).items():
        with within(name):
            if not re.fullmatch(NAME, name):
                raise InvalidValue("called by letters, digits, _ and -", code="invalid-name")
            port = inside(item, integer(1, 65535))
            if isinstance(port, Sensitive):
                raise InvalidValue("written without secrets")
            if port == ENVD_PORT:
                raise InvalidValue(f"other than {ENVD_PORT}, which is E2B's own")
            found[name] = port
    return found


def read_metadata(value: Value) -> Value:
    found: dict[str, Value] = {}
    for key, item in mapping(value).items():
        with within(key):
            if key.startswith(RESERVED_METADATA):
                raise InvalidValue(f"called otherwise: keys that begin with {RESERVED_METADATA} are nexus' own")
            if isinstance(item, Sensitive):
                raise InvalidValue("free of secrets: everyone with the account sees metadata")
            found[line(key)] = inside(item, as_text)
    return found


FIELDS = table(
    ADDRESS,
    *with_meta(
        Field(
            name="template",
            refers=True,
            schema={
                "type": "string",
                "minLength": 1,
                "examples": ["python", "${{ template.ml-research }}"],
            },
            description="What it is made from: a name of the catalogue, a template of E2B's, or one declared here.",
            effect=Effect.REPLACE,
            default="base",
        ),
        Field(
            name="timeout",
            read=parse_duration,
            schema=DURATION_SCHEMA,
            description="How long it lives after it was made or extended.",
            effect=Effect.IN_PLACE,
            default=DEFAULT_TIMEOUT,
        ),
        Field(
            name="on_timeout",
            read=one_of("kill", "pause"),
            schema={"enum": ["kill", "pause"]},
            description="What happens when its time is up: it goes, or it is kept, paused.",
            effect=Effect.REPLACE,
            default="kill",
        ),
        Field(
            name="auto_resume",
            read=boolean,
            schema={"type": "boolean"},
            description="Whether a request wakes it when it is paused; only with on_timeout: pause.",
            effect=Effect.REPLACE,
            default=False,
        ),
        Field(
            name="user",
            read=user_name,
            schema={"type": "string", "minLength": 1},
            description="Who start_command, steps and exec run as, and uploads belong to.",
            effect=Effect.SETUP,
            default="user",
        ),
        *setup_fields(Effect.SETUP),
        Field(
            name="network",
            read=read_network,
            schema=NETWORK_SCHEMA,
            description="What it may reach. Without the internet, or where domains are allowed, only what is allowed.",
            effect=Effect.IN_PLACE,
            default=open_network(),
        ),
        Field(
            name="volumes",
            read=read_volumes,
            refers=True,
            schema={
                "type": "object",
                "propertyNames": {"pattern": "^/"},
                "additionalProperties": {"type": "string", "minLength": 1},
                "examples": [{"/data": "${{ volume.datasets }}"}],
            },
            description="Volumes by the absolute path at which they are mounted.",
            effect=Effect.REPLACE,
            default={},
        ),
        Field(
            name="ports",
            read=read_ports,
            schema={
                "type": "object",
                "propertyNames": {"pattern": f"^{NAME}$"},
                "additionalProperties": PORT_SCHEMA,
                "examples": [{"api": 8000}],
            },
            description="Ports by name: each gives a URL, as in ${{ sandbox.web.urls.api }}.",
            default={},
        ),
        Field(
            name="metadata",
            read=read_metadata,
            schema={
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
                "examples": [{"team": "data"}],
            },
            description="Labels that E2B keeps with it. Keys that begin with nexus. are nexus' own.",
            effect=Effect.REPLACE,
            default={},
        ),
        limits=("create", "setup", "update", "delete"),
        sandbox=True,
    ),
    POOL,
    SETUP,
)
