"""The machines a supervisor serves, in one event loop."""

from __future__ import annotations

import asyncio
import errno
import logging
import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from nexus.local.isolation.base import NetworkPolicy, RelayAddress
from nexus.local.network.egress import Egress
from nexus.local.network.names import normal
from nexus.local.network.nameserver import HostResolvers, Nameserver
from nexus.local.network.namespace import EgressHandles
from nexus.local.network.notifications import Listener
from nexus.local.network.rules import EgressRules
from nexus.local.network.verdicts import HostView, NameMemory

_BATCH: Final = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    listener: Listener
    egress: Egress
    nameserver: Nameserver


class Supervisor:
    """Serves machines until they end or are removed. ``changed`` is set whenever their number falls."""

    def __init__(self, host: HostView | None = None, resolvers: HostResolvers | None = None) -> None:
        self._host = host or HostView()
        self._resolvers = resolvers or HostResolvers()
        self._machines: dict[str, _Served] = {}
        self.changed = asyncio.Event()

    @property
    def machines(self) -> list[str]:
        return sorted(self._machines)

    async def add(self, machine_id: str, handles: EgressHandles, policy: NetworkPolicy) -> None:
        """Serve a machine from now on; takes the descriptors over. Raises ValueError for a bad rule."""
        listener = Listener(handles.notify)
        udp, tcp = socket.socket(fileno=handles.dns_udp), socket.socket(fileno=handles.dns_tcp)
        try:
            names = NameMemory()
            egress = Egress(listener, EgressRules.compile(policy), names, self._host, machine_id)
            nameserver = Nameserver(
                udp, tcp, resolvers=self._resolvers, names=names, rules=lambda: egress.rules, host=self._host
            )
            await nameserver.start()
        except BaseException:
            listener.close()
            udp.close()
            tcp.close()
            raise
        self.remove(machine_id)
        self._machines[machine_id] = _Served(listener=listener, egress=egress, nameserver=nameserver)
        asyncio.get_running_loop().add_reader(listener.fileno(), self._on_ready, machine_id)

    def update(self, machine_id: str, policy: NetworkPolicy) -> None:
        """Replace a machine's rules. Raises KeyError for an unknown machine, ValueError for a bad rule."""
        served = self._machines[machine_id]
        served.egress.rules = EgressRules.compile(policy)

    def remove(self, machine_id: str) -> None:
        """Stop serving a machine; its network calls fail from now on. Idempotent."""
        served = self._machines.pop(machine_id, None)
        if served is None:
            return
        asyncio.get_running_loop().remove_reader(served.listener.fileno())
        served.listener.close()
        served.nameserver.close()
        self.changed.set()

    def set_forward_port(self, port: int | None) -> None:
        """The one port of the engine's forward addresses on the host."""
        self._host.forward_port = port

    def set_edge_port(self, port: int | None) -> None:
        """Where the engine's edge is on the host's loopback; None closes it to machines."""
        self._host.edge_port = port

    def set_relay(self, relay: RelayAddress | None) -> None:
        """Where the engine's relay is on the host."""
        self._host.relay = relay

    def set_stand_ins(self, names: Mapping[str, str]) -> None:
        """Names that mean these addresses in every machine. Raises ValueError for what is no IPv4 address."""
        self._host.stand_ins = {normal(name): IPv4Address(address) for name, address in names.items()}

    def close(self) -> None:
        """Stop serving every machine, and give up the view of the host."""
        for machine_id in self.machines:
            self.remove(machine_id)
        self._host.routes.close()

    def _on_ready(self, machine_id: str) -> None:
        served = self._machines[machine_id]
        # Bounded, so that a busy machine does not keep others waiting.
        for _ in range(_BATCH):
            state = served.listener.state()
            if state & select.POLLIN:
                self._answer_next(served)
            elif state:
                # Every process of the machine is gone; the descriptor would report that for ever.
                self.remove(machine_id)
                return
            else:
                return

    def _answer_next(self, served: _Served) -> None:
        call = served.listener.receive()
        if call is None:
            return
        try:
            served.egress.handle(call)
        except Exception:
            # One call must not end the network of every machine, nor may its caller hang.
            _log.exception("a stopped call could not be answered")
            with suppress(OSError):
                served.listener.fail(call, errno.EIO)
