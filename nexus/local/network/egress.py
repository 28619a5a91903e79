"""Answers one machine's stopped system calls: the heart of the supervisor.

A connection outwards becomes a socket of the host, connected here with our own copy of the address and put in the place
of the caller's. Nothing is waited for: a blocking ``connect`` is resumed on the connecting socket, so the kernel waits
with the program's own time-outs and signals.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from nexus.local.network import addresses, diversion, epoll_registrations, kernel, messages, own_servers, sockets
from nexus.local.network.addresses import Destination
from nexus.local.network.diversion import Diversion
from nexus.local.network.egress_filter import SYSCALLS
from nexus.local.network.messages import Message
from nexus.local.network.notifications import Listener, Notification
from nexus.local.network.rules import EgressRules
from nexus.local.network.sockets import SocketFactory, SocketKind
from nexus.local.network.verdicts import FORWARD_NETWORK, LOOPBACK, HostView, NameMemory, Verdict, judge

_MSG_FASTOPEN: Final = 0x20000000
_CLOSE_ON_EXEC: Final = 0o2000000
_WEB_PORTS: Final = frozenset({80, 443})
# Loopback connects at once, unless more wait to be taken than may.
_RELAY_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerSocket:
    """The socket a stopped call works on, held here too. ``on_host`` once it has been replaced."""

    pid: int
    pidfd: int
    socket: socket.socket
    kind: SocketKind
    on_host: bool

    @property
    def nonblocking(self) -> bool:
        return bool(fcntl.fcntl(self.socket, fcntl.F_GETFL) & os.O_NONBLOCK)


class Egress:
    """The egress of one machine. ``rules`` may be replaced at any time; they hold for calls made from then on."""

    def __init__(
        self, listener: Listener, rules: EgressRules, names: NameMemory, host: HostView, machine_id: str
    ) -> None:
        self.rules = rules
        self._listener = listener
        self._names = names
        self._host = host
        self._machine_id = machine_id
        self._factory = SocketFactory()
        self._cookie = _own_network()
        calls = SYSCALLS[kernel.machine()]
        self._handlers = {
            calls.connect: self._connect,
            calls.bind: self._serve,
            calls.listen: self._serve,
            calls.sendto: self._sendto,
            calls.sendmsg: self._sendmsg,
            calls.sendmmsg: self._sendmmsg,
        }

    def handle(self, call: Notification) -> None:
        """Answer one call. Errors of the call are the caller's; none is raised for a caller that died."""
        try:
            self._handlers[call.syscall](call)
        except ProcessLookupError:
            return
        except OSError as error:
            # Also a caller's bad pointer: EFAULT, as the kernel would say.
            self._listener.fail(call, error.errno or errno.EIO)

    # -- connect, bind and listen

    def _connect(self, call: Notification) -> None:
        length = call.args[2] & 0xFFFFFFFF
        name = kernel.read_memory(call.tid, call.args[1], min(length, addresses.LONGEST)) if length else b""
        destination = addresses.parse(name)
        if destination is None:
            return self._listener.resume(call)
        with self._socket_of(call) as caller:
            if caller is None or (caller.kind.is_stream and not sockets.is_closed(caller.socket)):
                return self._listener.resume(call)
            verdict = self._judge(destination, caller)
            if verdict is Verdict.OUTSIDE and self._host.is_edge(destination):
                if own_servers.listens_on(caller.pid, destination.port):
                    verdict = Verdict.INSIDE
                # Its IPv6 address may be somebody else's.
                destination = replace(destination, host=LOOPBACK)
            if verdict is Verdict.INSIDE and not caller.on_host:
                return self._listener.resume(call)
            if verdict is not Verdict.OUTSIDE:
                return self._listener.fail(call, _errno(verdict))
            if caller.on_host and caller.kind.is_datagram:
                caller.socket.connect(destination.for_family(caller.kind.family))
                return self._listener.answer(call, 0)
            if caller.kind.is_stream and self._is_relayed(destination):
                return self._connect_to_relay(call, caller, destination)
            return self._connect_outside(call, caller, destination)

    def _connect_outside(self, call: Notification, caller: CallerSocket, destination: Destination) -> None:
        with self._factory.twin(caller.socket, caller.kind) as twin:
            if destination.host == LOOPBACK:
                _let_reach_ipv4(twin, caller.kind)
            result = twin.connect_ex(destination.for_family(caller.kind.family))
            if result not in (0, errno.EINPROGRESS):
                return self._listener.fail(call, result)
            nonblocking = caller.nonblocking
            if not self._install(call, caller, twin, nonblocking=nonblocking):
                return None
        if result == 0:
            return self._listener.answer(call, 0)
        if nonblocking:
            return self._listener.fail(call, errno.EINPROGRESS)
        # On a socket that is connecting already, connect(2) just waits for the outcome.
        return self._listener.resume(call)

    def _is_relayed(self, destination: Destination) -> bool:
        is_engine = destination.host in FORWARD_NETWORK or self._host.is_edge(destination)
        if self.rules.relay_all and not is_engine:
            return True
        if not self.rules.has_relayed:
            return False
        # Web servers whatever they are called: what a program means is told by what it sends.
        if destination.port in _WEB_PORTS or is_engine:
            return True
        return any(self.rules.relayed.match(name) for name in self._names.names_of(destination.host))

    def _connect_to_relay(self, call: Notification, caller: CallerSocket, destination: Destination) -> None:
        """Connect to the engine's relay and tell it who wants to go where, before the program has its socket."""
        relay = self._host.relay
        if relay is None:
            return self._listener.fail(call, errno.ECONNREFUSED)
        with self._factory.twin(caller.socket, caller.kind) as twin:
            _let_reach_ipv4(twin, caller.kind)
            address = Destination(caller.kind.family, LOOPBACK, relay.port)
            twin.connect_ex(address.for_family(caller.kind.family))
            if not sockets.is_connected_within(twin, _RELAY_SECONDS):
                return self._listener.fail(call, errno.ECONNREFUSED)
            twin.send(
                diversion.encode(
                    Diversion(
                        token=relay.token,
                        machine=self._machine_id,
                        host=str(destination.host),
                        port=destination.port,
                        names=tuple(self._names.names_of(destination.host)),
                    )
                )
            )
            if not self._install(call, caller, twin, nonblocking=caller.nonblocking):
                return None
        return self._listener.answer(call, 0)

    def _serve(self, call: Notification) -> None:
        with self._socket_of(call) as caller:
            if caller is not None and caller.on_host:
                # It would take up a port of the host. The error is the one for a socket in use.
                return self._listener.fail(call, errno.EINVAL)
        return self._listener.resume(call)

    # -- datagrams with an address of their own

    def _sendto(self, call: Notification) -> None:
        self._send(call, [messages.of_sendto(call.tid, call.args)], flags=call.args[3])

    def _sendmsg(self, call: Notification) -> None:
        self._send(call, [messages.read_message(call.tid, call.args[1])], flags=call.args[2])

    def _sendmmsg(self, call: Notification) -> None:
        batch = messages.read_messages(call.tid, call.args[1], call.args[2] & 0xFFFFFFFF)
        self._send(call, batch, flags=call.args[3], report_each=True)

    def _send(self, call: Notification, batch: list[Message], *, flags: int, report_each: bool = False) -> None:
        destinations = [message.destination for message in batch if message.destination]
        if not destinations:
            return self._listener.resume(call)
        with self._socket_of(call) as caller:
            if caller is None:
                return self._listener.resume(call)
            if caller.kind.is_stream:
                # TCP ignores an address but for Fast Open, which would connect without asking.
                fast_open = flags & _MSG_FASTOPEN
                return self._listener.fail(call, errno.EOPNOTSUPP) if fast_open else self._listener.resume(call)
            verdicts = {self._judge(destination, caller) for destination in destinations}
            if Verdict.INSIDE in verdicts and not caller.on_host:
                return self._listener.resume(call)
            for verdict in verdicts - {Verdict.OUTSIDE}:
                return self._listener.fail(call, _errno(verdict))
            with self._host_datagram_socket(call, caller) as outgoing:
                if outgoing is None:
                    return None
                lengths = _send_all(outgoing, caller.kind.family, batch, flags, blocking=not caller.nonblocking)
        if report_each:
            for message, length in zip(batch, lengths, strict=False):
                message.record_sent(length)
        return self._listener.answer(call, len(lengths) if report_each else lengths[0])

    @contextmanager
    def _host_datagram_socket(self, call: Notification, caller: CallerSocket) -> Iterator[socket.socket | None]:
        """The caller's socket on the host, made if it has none; None when the caller is gone."""
        if caller.on_host:
            yield caller.socket
            return
        with self._factory.twin(caller.socket, caller.kind) as twin:
            yield twin if self._install(call, caller, twin, nonblocking=caller.nonblocking) else None

    # -- the caller's socket

    @contextmanager
    def _socket_of(self, call: Notification) -> Iterator[CallerSocket | None]:
        """The internet socket a call works on; None for any other descriptor.

        Raises ProcessLookupError when the caller is gone, so that no stranger's descriptor is looked at.
        """
        pid, pidfd = kernel.open_process(call.tid)
        try:
            sock = self._duplicate(pidfd, call)
            if sock is None:
                yield None
                return
            with sock:
                kind = SocketKind(sock.family, sock.type, sock.proto)
                if kind.is_stream or kind.is_datagram:
                    on_host = kernel.network_of(sock) == self._cookie
                    yield CallerSocket(pid=pid, pidfd=pidfd, socket=sock, kind=kind, on_host=on_host)
                else:
                    yield None
        finally:
            os.close(pidfd)

    def _duplicate(self, pidfd: int, call: Notification) -> socket.socket | None:
        try:
            fd = kernel.pidfd_getfd(pidfd, call.fd)
        except OSError as error:
            if error.errno == errno.EBADF:
                return None
            raise
        if not self._listener.is_waiting(call):
            os.close(fd)
            raise ProcessLookupError(call.tid)
        try:
            return socket.socket(fileno=fd)
        except OSError:
            os.close(fd)
            return None

    def _install(self, call: Notification, caller: CallerSocket, twin: socket.socket, *, nonblocking: bool) -> bool:
        """Put ``twin`` in place of the caller's socket; False when the caller is gone."""
        if not nonblocking:
            os.set_blocking(twin.fileno(), True)
        inode = os.fstat(caller.socket.fileno()).st_ino
        registrations = epoll_registrations.registrations_of(caller.pid, call.fd, inode)
        if registrations:
            epoll_registrations.register_successor(caller.pidfd, call.fd, twin.fileno(), registrations)
        close_on_exec = _closes_on_exec(caller.pid, call.fd)
        return self._listener.replace(call, twin.fileno(), close_on_exec=close_on_exec)

    def _judge(self, destination: Destination, caller: CallerSocket) -> Verdict:
        stream = caller.kind.is_stream
        return judge(destination, stream=stream, rules=self.rules, names=self._names, host=self._host)


def _send_all(sock: socket.socket, family: int, batch: list[Message], flags: int, *, blocking: bool) -> list[int]:
    """Send until the first failure; the lengths sent. Raises OSError when not even the first went out."""
    lengths: list[int] = []
    for message in batch:
        target = message.destination
        address = target.for_family(family) if target else None
        try:
            payload, ancillary = message.payload(), message.ancillary()
            lengths.append(sock.sendmsg([payload], ancillary, (flags & 0xFFFFFFFF) | socket.MSG_DONTWAIT, address))
        except BlockingIOError:
            if lengths:
                break
            # The supervisor does not wait for room. A datagram may be lost, so a caller that would have waited goes on.
            if not blocking:
                raise
            lengths.append(len(payload))
        except OSError:
            if lengths:
                break
            raise
    return lengths


def _let_reach_ipv4(sock: socket.socket, kind: SocketKind) -> None:
    """An IPv6 socket may have been told to keep to IPv6."""
    if kind.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _own_network() -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return kernel.network_of(sock)


def _closes_on_exec(pid: int, fd: int) -> bool:
    try:
        with open(f"/proc/{pid}/fdinfo/{fd}", "rb") as info:  # noqa: PTH123 - on the hot path of every connect
            for line in info:
                if line.startswith(b"flags:"):
                    return bool(int(line[6:], 8) & _CLOSE_ON_EXEC)
    except FileNotFoundError:
        pass
    return True


def _errno(verdict: Verdict) -> int:
    # A socket that has left the machine cannot return to its loopback.
    return errno.ENETUNREACH if verdict is Verdict.INSIDE else verdict.value
