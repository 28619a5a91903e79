"""The rules of a live sandbox's network, normalised like the attribute."""

from __future__ import annotations

import ipaddress

from e2b import SandboxInfo
from e2b.sandbox.sandbox_api import SandboxNetworkInfo

from nexus.kinds.network import EVERYTHING
from nexus.model.values import Value


def network_of(info: SandboxInfo) -> dict[str, Value]:
    rules = info.network or SandboxNetworkInfo()
    allow = sorted(map(plain_destination, rules.get("allow_out", ())))
    denied = set(map(plain_destination, rules.get("deny_out", ())))
    if info.allow_internet_access is False:  # the short way to say it, which only a create has
        denied.add(EVERYTHING)
    deny = sorted(denied)
    return {"internet": EVERYTHING not in deny, "allow": [*allow], "deny": [*deny]}


def plain_destination(rule: str) -> str:
    """An address or network as normalised attributes have it: a network of one address is the address."""
    try:
        network = ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return rule.lower()
    return str(network.network_address) if "/" not in rule or network.num_addresses == 1 else str(network)
