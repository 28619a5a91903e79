"""The keeper: one small process of the host per machine, forked from the zygote, which lives as long as its machine.

It forks the init, takes the machine's egress descriptors out to the daemon, enters the machine's network to hand out
connections to its ports, and answers the machine's control socket: pause, resume, kill, accounts, and copies of those
descriptors. When the machine ends, it leaves nothing behind. When it dies itself, the kernel ends the machine, so a
machine is alive exactly as long as its control socket answers. When that socket is removed, or the engine's store, so
that no daemon can come back to it, it ends the machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from nexus.local.envd.run import Envd
from nexus.local.isolation import chroot_init, init_process, syscalls, tiers
from nexus.local.isolation.cgroups import Hierarchies, MachineGroup
from nexus.local.isolation.launch_request import LaunchRequest
from nexus.local.isolation.machine_processes import MachineProcesses
from nexus.local.isolation.port_owners import serves_port
from nexus.local.isolation.porter import Porter
from nexus.local.isolation.process_title import ProcessTitle
from nexus.local.isolation.runtime_folder import RuntimeFolder, listen
from nexus.local.isolation.user_namespaces import MappedNamespace
from nexus.local.network import EgressHandles, take_handles
from nexus.local.storage.layout import short_key

# Seconds between two looks at whether the machine can still be reached.
REACHABLE_CHECK: Final = 5.0
_BOOT_LIMIT: Final = 30.0
_PACKET: Final = 1 << 16
_LONGEST_ORDER: Final = 4096


class BootError(Exception):
    """The machine could not be made; the message says at which step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """What the zygote made once for all machines."""

    hierarchies: Hierarchies
    title: ProcessTitle
    envd: Envd


@dataclass(frozen=True, slots=True, kw_only=True)
class _Born:
    init: int
    pidfd: int


def group_prefix(store: Path) -> str:
    """The beginning of the names of all control groups of one store's machines."""
    return f"nexus-{short_key(str(store))}-"


def run_keeper(start: socket.socket, inheritance: Inheritance, mapping: MappedNamespace | None) -> NoReturn:
    """The whole life of the keeper process; ``start`` is the socket of the one who asked for the machine."""
    status = 1
    try:
        os.setsid()
        _close_descriptors_but({start.fileno()} | ({mapping.fd} if mapping else set()))
        request = LaunchRequest.decode(_read_all(start))
        inheritance.title.set("nexus-machine")
        Keeper(request, inheritance, mapping).live(start)
        status = 0
    except BaseException as error:
        with contextlib.suppress(OSError):
            _send(start, {"error": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(status)


class Keeper:
    """One machine, from the host's side."""

    def __init__(self, request: LaunchRequest, inheritance: Inheritance, mapping: MappedNamespace | None) -> None:
        self._request = request
        self._tier = tiers.by_name(request.tier)
        self._inheritance = inheritance
        self._mapping = mapping
        self._folder = RuntimeFolder.of(request.runtime, request.machine_id)
        # Where an ordinary user can write groups, its processes may still not be moved between them.
        usable = Hierarchies() if self._tier.single_uid else inheritance.hierarchies
        self._group = MachineGroup(usable, group_prefix(request.store) + request.machine_id)
        self._paused = False
        self._egress: EgressHandles | None = None
        # Kept open until the very end: for a client, the end of its connection is the end of the machine.
        self._clients: set[socket.socket] = set()

    def live(self, start: socket.socket) -> None:
        """Make the machine, keep it, and clear up after it. Raises when it cannot be made."""
        try:
            self._folder.create()
            self._group.create(self._request.limits)
            with listen(self._folder.control) as control, listen(self._folder.ports) as ports:
                born = self._boot(start)
                try:
                    self._keep(control, ports, born)
                finally:
                    self._end(born)
        finally:
            self._group.remove()
            self._folder.remove()

    # -- the beginning

    def _boot(self, start: socket.socket) -> _Born:
        boot, boot_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        init_process.prepare_keeper(self._tier)
        with listen(self._folder.envd) as envd, boot_there:
            launch = init_process.Launch(
                request=self._request,
                stage=self._folder.stage,
                mapping=self._mapping,
                boot=boot_there,
                envd=envd,
                title=self._inheritance.title,
                service=self._inheritance.envd,
            )
            pid = os.fork()
            if pid == 0:
                init_process.run_init(launch, init_process.become_init if self._tier.namespaces else chroot_init.become)
        if self._mapping is not None:
            self._mapping.close()
        born = _Born(init=pid, pidfd=os.pidfd_open(pid))
        # Without a namespace, what the init leaves behind comes to the keeper.
        self._processes = MachineProcesses(pid) if self._tier.namespaces else MachineProcesses.below(os.getpid())
        with boot:
            try:
                self._group.admit(pid)
                self._follow(boot, start, pid)
                _send(start, {"ready": True, **self._describe(born)})
            except BaseException:
                self._end(born)
                raise
        start.close()
        return born

    def _follow(self, boot: socket.socket, start: socket.socket, init: int) -> None:
        """Go through the messages of a starting machine until it is ready."""
        boot.settimeout(_BOOT_LIMIT)
        while True:
            match json.loads(boot.recv(_PACKET) or b"{}"):
                case {"settled": dict() | None as numbers}:
                    if self._request.network != "host":
                        _enter_network(init)
                    boot.send(self._pass_egress(start, init, numbers or {}))
                case {"ready": True}:
                    return
                case {"error": str(sentence)}:
                    raise BootError(sentence)
                case _:
                    raise BootError("the machine ended while it was being made")

    def _pass_egress(self, start: socket.socket, init: int, numbers: Mapping[str, object]) -> bytes:
        """Bring the machine's egress descriptors to the daemon; the byte with which the supervisor takes them."""
        if not numbers:
            return b"1"
        # Kept as well: without a copy outside of the supervisor, its end would be the end of the machine's network.
        self._egress = take_handles(init, EgressHandles(**numbers))  # type: ignore[arg-type]
        _send(start, {"egress": True}, self._egress_descriptors())
        start.settimeout(_BOOT_LIMIT)
        return start.recv(1) or b"0"

    def _egress_descriptors(self) -> tuple[int, ...]:
        if self._egress is None:
            return ()
        return (self._egress.notify, self._egress.dns_udp, self._egress.dns_tcp)

    # -- the life

    def _keep(self, control: socket.socket, ports: socket.socket, born: _Born) -> None:
        """Answer orders and hand out connections until the machine has ended, or can't be reached any more."""
        control.setblocking(False)
        with selectors.DefaultSelector() as selector:
            is_ours = None if self._request.network != "host" else partial(serves_port, self._processes)
            porter = Porter(ports, selector, is_ours)
            selector.register(control, selectors.EVENT_READ, partial(self._accept, control, selector, born))
            selector.register(born.pidfd, selectors.EVENT_READ)
            while self._folder.control.exists() and self._request.store.exists():
                for key, _ in selector.select(porter.patience or REACHABLE_CHECK):
                    if key.fd == born.pidfd:
                        return
                    key.data()
                porter.expire()

    def _accept(self, control: socket.socket, selector: selectors.BaseSelector, born: _Born) -> None:
        with contextlib.suppress(OSError):
            client, _address = control.accept()
            client.settimeout(1.0)
            self._clients.add(client)
            selector.register(client, selectors.EVENT_READ, partial(self._serve, client, selector, born))

    def _serve(self, client: socket.socket, selector: selectors.BaseSelector, born: _Born) -> None:
        """Answer one order of a client, or see that it is gone. Orders are single lines, one at a time."""
        try:
            order = client.recv(_LONGEST_ORDER)
            if order:
                self._answer(client, order.decode(errors="replace").strip(), born)
                return
        except OSError:
            pass
        selector.unregister(client)
        self._clients.discard(client)
        client.close()

    def _answer(self, client: socket.socket, order: str, born: _Born) -> None:
        if order == "egress":
            _send(client, {}, self._egress_descriptors())
        else:
            _send(client, self._obey(order, born))

    def _obey(self, order: str, born: _Born) -> dict[str, object]:
        try:
            match order:
                case "describe":
                    return self._describe(born)
                case "pause":
                    self._set_paused(True)
                case "resume":
                    self._set_paused(False)
                case "kill":
                    self._kill(born)
                case "accounts":
                    return self._accounts()
                case _:
                    return {"error": f"unknown order {order!r}"}
        except (OSError, TimeoutError) as error:
            return {"error": str(error)}
        return {}

    def _describe(self, born: _Born) -> dict[str, object]:
        return {
            "id": self._request.machine_id,
            "init": born.init,
            "tier": self._request.tier,
            "limits": dataclasses.asdict(self._request.limits),
            "paused": self._paused,
        }

    def _set_paused(self, paused: bool) -> None:
        if self._group.can_freeze:
            self._group.freeze(paused)
        elif paused:
            self._processes.stop()
        else:
            self._processes.resume()
        self._paused = paused

    def _kill(self, born: _Born) -> None:
        """Killing a PID namespace's init kills all of it. Frozen processes die when they thaw."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(born.pidfd, signal.SIGKILL)
        self._group.kill()
        if not self._tier.namespaces:
            self._processes.kill()

    def _accounts(self) -> dict[str, object]:
        accounts = self._group.accounts()
        cache = accounts.cache or 0
        return {
            "cpu_seconds": self._processes.cpu_seconds() if accounts.cpu_seconds is None else accounts.cpu_seconds,
            "memory": self._processes.memory() if accounts.memory is None else max(0, accounts.memory - cache),
            "cache": cache,
            "at": time.monotonic(),
        }

    # -- the end

    def _end(self, born: _Born) -> None:
        self._kill(born)
        if self._tier.namespaces:
            os.waitpid(born.init, 0)
        os.close(born.pidfd)


def _enter_network(init: int) -> None:
    """Share the machine's network, to connect to its ports. Nothing this process does needs the host's."""
    descriptor = os.open(f"/proc/{init}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
    finally:
        os.close(descriptor)


def _send(sock: socket.socket, message: dict[str, object], descriptors: tuple[int, ...] = ()) -> None:
    data = json.dumps(message).encode() + b"\n"
    if descriptors:
        socket.send_fds(sock, [data], list(descriptors))
    else:
        sock.sendall(data)


def _read_all(sock: socket.socket) -> bytes:
    """A length of four bytes, then as many bytes."""
    length = int.from_bytes(_read_exactly(sock, 4), "big")
    return _read_exactly(sock, length)


def _read_exactly(sock: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = sock.recv(length - len(data))
        if not piece:
            raise EOFError("the request ended early")
        data += piece
    return bytes(data)


def _close_descriptors_but(kept: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - one of them is the listing itself
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))
