"""Fields that nexus derives, and objects that stand for other resources in expressions."""

from __future__ import annotations

from nexus.kinds.base import Field
from nexus.model.changes import Effect
from nexus.model.resources import Each
from nexus.model.values import Value

ADDRESS = Field(
    name="address",
    schema={"type": "string"},
    description="The address of the resource.",
    computed=True,
)
NAME = Field(
    name="name",
    schema={"type": "string"},
    description="The name in E2B's account: project--environment--name.",
    effect=Effect.REPLACE,
    computed=True,
)


def instance_of(value: Value, each: Each | None) -> Value:
    """The object of one instance where ``value`` is a mapping of a fanned-out block's instances by key.

    An instance pairs with the one of the same key; anything else is returned as it is.
    """
    if isinstance(value, dict) and "address" not in value and each is not None and each.key in value:
        return value[each.key]
    return value


def kind_of(value: Value) -> str:
    """The kind of the resource whose outputs ``value`` holds, or ""."""
    address = value.get("address") if isinstance(value, dict) else None
    return address.partition(".")[0] if isinstance(address, str) else ""
