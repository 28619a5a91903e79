"""Sandboxes of a step's own, written in its field ``sandbox``: made when the step runs, killed when it has ended.

They have what E2B gives a sandbox as it makes it. What is installed or uploaded belongs into a template: that is built
once, and every run begins with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nexus.kinds.base import Normalising
from nexus.kinds.sandbox import SandboxKind, SandboxSpec
from nexus.kinds.sandbox_fields import FIELDS
from nexus.model.diagnostics import Diagnostics
from nexus.model.values import Attributes, Value

OWN_FIELDS: Final = ("template", "user", "env_vars", "network", "volumes")

_KIND: Final = SandboxKind()

OWN_SCHEMA: Final[Mapping[str, object]] = {
    "title": "sandbox of its own",
    "type": "object",
    "properties": {name: {**FIELDS[name].schema, "description": FIELDS[name].description} for name in OWN_FIELDS},
    "required": ["template"],
    "additionalProperties": False,
}


def normalise_own(written: Attributes, context: Normalising) -> dict[str, Value]:
    """The normal form of these fields alone. What is wrong with them is told at the step's field ``sandbox``."""
    quiet = replace(context, diagnostics=Diagnostics())
    whole = _KIND.normalise({name: value for name, value in written.items() if name in OWN_FIELDS}, quiet)
    place = context.place("sandbox")
    context.diagnostics.extend(replace(item, range=place) for item in quiet.diagnostics)
    return {name: whole[name] for name in OWN_FIELDS}


def decode_own(attributes: Attributes) -> SandboxSpec:
    """The typed spec of wholly known, revealed fields. Its ``timeout`` means nothing: it lives as long as the step."""
    defaults = {name: field.default for name, field in FIELDS.items() if not field.meta}
    return _KIND.decode({**defaults, "address": "", **attributes})
