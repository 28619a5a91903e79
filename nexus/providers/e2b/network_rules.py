"""The rules of a live sandbox's network, normalised like the attribute."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from e2b import SandboxInfo
from e2b.api.client.models import SandboxDetail, SandboxNetworkConfig
from e2b.sandbox.sandbox_api import SandboxNetworkInfo

from nexus.kinds.network import EVERYTHING
from nexus.model.values import Value


def network_of(info: SandboxInfo) -> dict[str, Value]:
    rules = info.network or SandboxNetworkInfo()
    return _normal(rules.get("allow_out", ()), rules.get("deny_out", ()), info.allow_internet_access)


def network_of_detail(detail: SandboxDetail) -> dict[str, Value]:
    """The same from the answer of the API itself."""
    rules = detail.network if isinstance(detail.network, SandboxNetworkConfig) else SandboxNetworkConfig()
    return _normal(rules.allow_out or (), rules.deny_out or (), detail.allow_internet_access)


def _normal(allow_out: Iterable[str], deny_out: Iterable[str], internet: object) -> dict[str, Value]:
    allow = sorted(map(plain_destination, allow_out))
    denied = set(map(plain_destination, deny_out))
    if internet is False:  # the short way to say it, which only a create has
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
