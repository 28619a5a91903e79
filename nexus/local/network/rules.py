"""What a machine's network policy permits: pure decisions over addresses and names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from nexus.local.isolation.base import NetworkPolicy
from nexus.local.network.names import LOCALHOST, NamePatterns

Host = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRules:
    """A policy, compiled.

    ``everything_denied`` is how "no internet" and a denied ``0.0.0.0/0`` look alike; that block stands for all traffic,
    IPv6 too. Only what ``allow_out`` names then passes, and only allowed names resolve.
    """

    everything_allowed: bool
    everything_denied: bool
    allowed: tuple[Network, ...]
    denied: tuple[Network, ...]
    allowed_names: NamePatterns
    relayed: NamePatterns = field(default_factory=NamePatterns)
    relay_all: bool = False

    @classmethod
    def compile(cls, policy: NetworkPolicy) -> EgressRules:
        """Raises ValueError for a rule that is no address, block or (in ``allow_out``) domain name."""
        allowed: list[Network] = []
        domains: list[str] = []
        for rule in policy.allow_out:
            if (network := _network(rule)) is not None:
                allowed.append(network)
            else:
                domains.append(rule)
        denied = [_denied(rule) for rule in policy.deny_out]
        return cls(
            everything_allowed=_covers_everything(allowed),
            everything_denied=not policy.internet or _covers_everything(denied),
            allowed=tuple(allowed),
            denied=tuple(denied),
            allowed_names=NamePatterns.compile(domains),
            relayed=NamePatterns.compile(policy.relayed_hosts),
            relay_all=policy.relay_all,
        )

    def permits(self, host: Host, names: Iterable[str] = ()) -> bool:
        """Whether ``host`` may be reached; ``names`` are those that lately resolved to it."""
        if self.everything_allowed or any(host in network for network in self.allowed):
            return True
        if any(self.allows_name(name) for name in names):
            return True
        return not self.everything_denied and not any(host in network for network in self.denied)

    def allows_name(self, name: str) -> bool:
        """Whether ``allow_out`` lists this domain, or a wildcard above it."""
        return self.allowed_names.match(name)

    def resolves(self, name: str) -> bool:
        """Whether the machine may look this name up."""
        return self.everything_allowed or not self.everything_denied or self.allows_name(name)

    @property
    def allows_localhost(self) -> bool:
        """Whether ``allow_out`` lists a name of a port of this engine's sandboxes.

        Programs know where such names lead without asking, so which of them is meant cannot be told from the address.
        """
        return self.allowed_names.match_below(LOCALHOST)

    @property
    def has_names(self) -> bool:
        return bool(self.allowed_names)

    @property
    def has_relayed(self) -> bool:
        return bool(self.relayed)


def _covers_everything(networks: Iterable[Network]) -> bool:
    return any(network.version == 4 and network.prefixlen == 0 for network in networks)


def _network(rule: str) -> Network | None:
    try:
        return ip_network(rule, strict=False)
    except ValueError:
        if "/" in rule or not rule.strip():
            raise
        return None


def _denied(rule: str) -> Network:
    network = _network(rule)
    if network is None:
        raise ValueError(f"deny_out takes addresses and blocks, not the name {rule!r}")
    return network
