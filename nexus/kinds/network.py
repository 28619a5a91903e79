"""Egress of a sandbox: what it may reach."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from nexus.kinds.reading import InvalidValue, boolean, inside, line, mapping, sequence, shown, spread, within
from nexus.model.values import UNKNOWN, Sensitive, Unknown, Value

EVERYTHING = "0.0.0.0/0"
_DOMAIN = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE
)

NETWORK_SCHEMA = {
    "type": "object",
    "properties": {
        "internet": {"type": "boolean", "default": True, "description": "Whether anything outside may be reached."},
        "allow": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "default": [],
            "description": "Addresses, networks and domains that may be reached although others may not.",
        },
        "deny": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "default": [],
            "description": "Addresses and networks that may not be reached.",
        },
    },
    "additionalProperties": False,
    "examples": [{"internet": False}, {"internet": False, "allow": ["pypi.org", "*.pythonhosted.org"]}],
}


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """As E2B wants it: where ``internet`` is False, ``deny`` holds everything and ``allow`` the exceptions."""

    internet: bool = True
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


def open_network() -> dict[str, Value]:
    """The normalised form of no restriction."""
    return {"internet": True, "allow": [], "deny": []}


def read_network(value: Value) -> Value:
    """``{"internet", "allow", "deny"}`` in E2B's terms.

    Without the internet, and where the exceptions would mean nothing otherwise, everything is denied but what is
    allowed; E2B wants this said when domains are allowed. Raises InvalidValue.
    """
    block = mapping(value)
    for key in block:
        if key not in ("internet", "allow", "deny"):
            raise InvalidValue(f"a mapping with the keys internet, allow, deny, not {shown(key)}", code="unknown-field")
    internet = _internet(block.get("internet"))
    allow, deny = _destinations(block.get("allow"), "allow"), _destinations(block.get("deny"), "deny")
    if isinstance(internet, Unknown) or allow is None or deny is None:
        return UNKNOWN
    if internet is False or any(_is_domain(item) for item in allow) or (allow and not deny):
        deny = sorted({*deny, EVERYTHING})
    return {"internet": EVERYTHING not in deny, "allow": [*allow], "deny": [*deny]}


def _internet(value: Value) -> Value:
    if value is None:
        return True
    if isinstance(value, Sensitive):
        raise InvalidValue("written without secrets")
    return inside(value, boolean)


def _destinations(value: Value, key: str) -> list[str] | None:
    value = spread(value)
    if isinstance(value, Unknown):
        return None
    found: set[str] = set()
    for index, item in enumerate(sequence([] if value is None else value)):
        if isinstance(item, Unknown):
            return None
        with within(key, index):
            if isinstance(item, Sensitive):
                raise InvalidValue("written without secrets")
            found.add(_destination(item, key))
    return sorted(found)


def _destination(value: Value, key: str) -> str:
    item = line(value).strip()
    if re.fullmatch(r"[0-9./]+|.*:.*", item):
        try:
            return str(ipaddress.ip_network(item, strict=False) if "/" in item else ipaddress.ip_address(item))
        except ValueError:
            raise InvalidValue(f"an address, a network or a domain, not {shown(item)}") from None
    if key == "deny":
        raise InvalidValue(
            f"an address or a network, not {shown(item)}",
            hint="domains can only be allowed: use internet: false with an allow list",
        )
    if len(item) > 253 or not _DOMAIN.fullmatch(item):
        raise InvalidValue(f"an address, a network or a domain, not {shown(item)}")
    return item.lower()


def _is_domain(item: str) -> bool:
    return not re.fullmatch(r"[0-9./]+|.*:.*", item)


def network_from(value: Value) -> NetworkSpec:
    """The typed form of a known, normalised value."""
    block = mapping(value)
    lists = [tuple(str(item) for item in sequence(block[key])) for key in ("allow", "deny")]
    return NetworkSpec(block["internet"] is True, *lists)
