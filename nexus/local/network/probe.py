"""Whether this host's kernel can give machines an outbound network, found out by doing it once."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from nexus.local.network import kernel
from nexus.local.network.egress_filter import install_egress_filter
from nexus.local.network.notifications import Listener

_LIMIT_MS: Final = 5000
_NUMBER: Final = struct.Struct("=i")


@dataclass(frozen=True, slots=True)
class EgressFinding:
    """``reason`` is a sentence for people: why not, or how."""

    available: bool
    reason: str


def probe_egress() -> EgressFinding:
    """Stop a child's ``connect``, replace its socket and answer, with every kernel feature egress needs.

    Takes a few milliseconds and forks once, so call it while single-threaded or accept that warning.
    """
    try:
        kernel.notification_sizes()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            kernel.network_of(sock)
    except OSError as error:
        return EgressFinding(
            False, f"the kernel lacks seccomp user notification (Linux 5.14): {error.strerror or error}"
        )
    try:
        _rehearse()
    except OSError as error:
        if error.errno == errno.EBUSY:
            return EgressFinding(False, "this process is itself under a seccomp supervisor, and they do not nest")
        return EgressFinding(False, f"seccomp user notification does not work here: {error.strerror or error}")
    return EgressFinding(True, "through seccomp user notification")


def _rehearse() -> None:
    numbers, told = os.pipe()
    go, say_go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(numbers)
        os.close(say_go)
        _play_machine(told, go)
    os.close(told)
    os.close(go)
    try:
        _play_supervisor(child, numbers, say_go)
    finally:
        os.close(numbers)
        os.close(say_go)
        with suppress(ProcessLookupError):
            os.kill(child, 9)
        os.waitpid(child, 0)


def _play_machine(told: int, go: int) -> None:
    """In the child: report the descriptor or minus errno, then connect nowhere. Does not return."""
    status = 1
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if os.geteuid() != 0:
            kernel.set_no_new_privs()
        try:
            notify = install_egress_filter()
        except OSError as error:
            os.write(told, _NUMBER.pack(-(error.errno or errno.EIO)))
        else:
            os.write(told, _NUMBER.pack(notify))
            os.read(go, 1)
            os.close(notify)
            status = sock.connect_ex(("127.0.0.1", 9))
            # Only the socket that was put in its place is a stream.
            status = status or int(sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) != socket.SOCK_STREAM)
            os.write(told, _NUMBER.pack(status))
    finally:
        os._exit(status)


def _play_supervisor(child: int, numbers: int, say_go: int) -> None:
    notify = _read_number(numbers)
    if notify < 0:
        raise OSError(-notify, os.strerror(-notify))
    listener = Listener(kernel.take_fd(child, notify))
    try:
        os.write(say_go, b"1")
        _await(listener.fileno())
        call = listener.receive()
        if call is None:
            raise _interrupted()
        # Answering takes the right to look into the caller.
        kernel.read_memory(call.tid, call.args[1], 16)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as replacement:
            if not listener.replace(call, replacement.fileno(), close_on_exec=True):
                raise _interrupted()
        listener.answer(call, 0)
        if (status := _read_number(numbers)) != 0:
            raise OSError(status, "a replaced socket did not arrive")
    finally:
        listener.close()


def _read_number(pipe: int) -> int:
    _await(pipe)
    data = os.read(pipe, _NUMBER.size)
    if len(data) < _NUMBER.size:
        raise _interrupted()
    return int(_NUMBER.unpack(data)[0])


def _await(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(_LIMIT_MS):
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _interrupted() -> OSError:
    return OSError(errno.ESRCH, "the trial process ended early")
