"""Volumes: storage that outlives the sandboxes that mount it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus.kinds.base import Normalising, Unit
from nexus.kinds.block import table
from nexus.kinds.identity import ADDRESS, NAME
from nexus.kinds.meta import with_meta
from nexus.kinds.naming import e2b_name
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Attributes

FIELDS = table(ADDRESS, NAME, *with_meta())


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A volume has nothing but its name in the account."""

    name: str


class VolumeKind:
    """The kind ``volume``."""

    name = "volume"
    section = "volumes"
    fields = tuple(FIELDS.values())

    def normalise(self, attributes: Attributes, context: Normalising) -> Attributes:  # noqa: ARG002
        address = context.spec.address
        return {"address": str(address), "name": e2b_name(context.project, context.environment, address)}

    def units(self, attributes: Attributes) -> tuple[Unit, ...]:  # noqa: ARG002 - there is nothing inside to set up
        return ()

    def outputs(self, attributes: Attributes, record: ResourceRecord | None) -> Attributes:
        return {**attributes, "id": UNKNOWN if record is None else record.id}

    def decode(self, attributes: Attributes) -> VolumeSpec:
        return VolumeSpec(str(attributes["name"]))
