"""Where one destination leads: inside the machine, out through the host, or nowhere."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final

from nexus.local.isolation.base import RelayAddress
from nexus.local.network.addresses import Destination
from nexus.local.network.namespace import DNS_ADDRESS
from nexus.local.network.routes import Route, Routes
from nexus.local.network.rules import EgressRules, Host

FORWARD_NETWORK: Final = IPv4Network("127.77.0.0/16")
"""Loopback addresses by which machines reach each other's forwarded ports through the engine."""

LOOPBACK: Final = IPv4Address("127.0.0.1")

_LOOPBACKS: Final[frozenset[Host]] = frozenset({LOOPBACK, IPv6Address("::1")})
_NAMESERVER: Final = IPv4Address(DNS_ADDRESS)
_REMEMBERED_FOR: Final = 3600.0
_MOST_REMEMBERED: Final = 20_000


class Verdict(Enum):
    INSIDE = 0
    OUTSIDE = -1
    REFUSED = errno.ECONNREFUSED
    PROHIBITED = errno.EACCES
    UNREACHABLE = errno.ENETUNREACH


@dataclass(slots=True, kw_only=True)
class HostView:
    """What the supervisor knows of the host, common to all machines.

    ``edge_port`` is where the engine's edge answers, on the host's loopback, for names of ports below ``localhost``.
    ``reachable`` are addresses of the host itself that machines may reach nevertheless. ``stand_ins`` are names that
    mean an address of ours in every machine.
    """

    routes: Routes = field(default_factory=Routes)
    forward_port: int | None = None
    edge_port: int | None = None
    reachable: frozenset[Host] = frozenset()
    relay: RelayAddress | None = None
    stand_ins: Mapping[str, IPv4Address] = field(default_factory=dict)

    def is_edge(self, destination: Destination) -> bool:
        """Whether a connection there means the engine's edge, the one thing on the host's own loopback to be reached.

        Names below ``localhost`` mean loopback to every program, whether it asks a nameserver for them or not.
        """
        return destination.host in _LOOPBACKS and destination.port == self.edge_port


class NameMemory:
    """Which names lately resolved to which addresses, as one machine was told.

    Programs and their runtimes keep addresses longer than the records allow, so an answer counts for at least an hour.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._names: dict[Host, dict[str, float]] = {}

    def learn(self, name: str, host: Host, ttl: float) -> None:
        """``name`` was answered with ``host``, good for ``ttl`` seconds."""
        if len(self._names) >= _MOST_REMEMBERED:
            self._forget()
        self._names.setdefault(host, {})[name] = self._clock() + max(ttl, _REMEMBERED_FOR)

    def names_of(self, host: Host) -> list[str]:
        now = self._clock()
        return [name for name, expiry in self._names.get(host, {}).items() if expiry > now]

    def _forget(self) -> None:
        now = self._clock()
        self._names = {
            host: fresh
            for host, names in self._names.items()
            if (fresh := {name: expiry for name, expiry in names.items() if expiry > now})
        }
        if len(self._names) >= _MOST_REMEMBERED:
            self._names.clear()


def judge(destination: Destination, *, stream: bool, rules: EgressRules, names: NameMemory, host: HostView) -> Verdict:
    """What to do with a connection or datagram to ``destination``."""
    address = destination.host
    if address.is_loopback or address.is_unspecified:
        return _judge_loopback(destination, stream=stream, rules=rules, names=names, host=host)
    # Link-local is where clouds serve the host's own credentials.
    if address.is_link_local:
        return Verdict.REFUSED
    if not rules.permits(address, names.names_of(address) if rules.has_names else ()):
        return Verdict.UNREACHABLE if rules.everything_denied else Verdict.PROHIBITED
    if address in host.reachable:
        return Verdict.OUTSIDE
    match host.routes.lookup(address):
        case Route.OUTSIDE:
            return Verdict.OUTSIDE
        case Route.LOCAL:
            return Verdict.REFUSED
        case Route.NONE:
            return Verdict.UNREACHABLE


def _judge_loopback(
    destination: Destination, *, stream: bool, rules: EgressRules, names: NameMemory, host: HostView
) -> Verdict:
    address = destination.host
    if stream and host.is_edge(destination):
        return Verdict.OUTSIDE if rules.allows_localhost or rules.permits(LOOPBACK) else Verdict.INSIDE
    if address not in FORWARD_NETWORK or address == _NAMESERVER:
        return Verdict.INSIDE
    if not rules.permits(address, names.names_of(address) if rules.has_names else ()):
        return Verdict.INSIDE
    return Verdict.OUTSIDE if stream and destination.port == host.forward_port else Verdict.REFUSED
