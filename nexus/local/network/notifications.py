"""One machine's queue of stopped system calls: receive, answer, replace a descriptor."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
from dataclasses import dataclass
from typing import Final

from nexus.local.network import kernel

_RECEIVE: Final = 0xC0502100
_SEND: Final = 0xC0182101
_ID_VALID: Final = 0x40082102
_ADD_FD: Final = 0x40182103

_CONTINUE: Final = 1
_SET_FD: Final = 1

_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
_RESPONSE: Final = struct.Struct("=QqiI")
_ADD: Final = struct.Struct("=QIIII")


@dataclass(frozen=True, slots=True)
class Notification:
    """A system call that waits for an answer. ``tid`` is the calling thread."""

    id: int
    tid: int
    syscall: int
    args: tuple[int, ...]

    @property
    def fd(self) -> int:
        """First argument of every call the filter stops, as the C ``int`` it is."""
        number = self.args[0] & 0xFFFFFFFF
        return number - (1 << 32) if number >> 31 else number


class Listener:
    """The notification descriptor of one machine. Owns it."""

    def __init__(self, fd: int) -> None:
        notification_size, response_size = kernel.notification_sizes()
        self._notification = bytearray(max(notification_size, _NOTIFICATION.size))
        self._padding = bytes(max(response_size, _RESPONSE.size) - _RESPONSE.size)
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def state(self) -> int:
        """POLLIN when a call waits; POLLHUP when every process of the machine is gone; 0 when all is quiet."""
        ready = self._poll.poll(0)
        return ready[0][1] if ready else 0

    def receive(self) -> Notification | None:
        """The next stopped call, or None when its caller died meanwhile. Blocks unless :meth:`state` says POLLIN."""
        # The kernel insists on a zeroed buffer.
        self._notification[:] = bytes(len(self._notification))
        try:
            fcntl.ioctl(self._fd, _RECEIVE, self._notification)
        except FileNotFoundError:
            return None
        number, tid, _flags, syscall, _arch, _pointer, *args = _NOTIFICATION.unpack_from(self._notification)
        return Notification(number, tid, syscall, tuple(args))

    def is_waiting(self, call: Notification) -> bool:
        """Whether the caller still waits, so that what was read by its id was not a stranger's."""
        try:
            fcntl.ioctl(self._fd, _ID_VALID, struct.pack("=Q", call.id))
        except FileNotFoundError:
            return False
        return True

    def resume(self, call: Notification) -> None:
        """Let the kernel run the call as it is."""
        self._send(call, 0, 0, _CONTINUE)

    def answer(self, call: Notification, value: int) -> None:
        """Return ``value`` from the call without running it."""
        self._send(call, value, 0, 0)

    def fail(self, call: Notification, number: int) -> None:
        """Fail the call with errno ``number``."""
        self._send(call, 0, -number, 0)

    def replace(self, call: Notification, source: int, *, close_on_exec: bool) -> bool:
        """Put our descriptor ``source`` in place of the caller's own; False when the caller is gone."""
        flags = os.O_CLOEXEC if close_on_exec else 0
        try:
            fcntl.ioctl(self._fd, _ADD_FD, _ADD.pack(call.id, _SET_FD, source, call.fd, flags))
        except OSError as error:
            # EINPROGRESS: a signal took the caller out of its wait, it will come again.
            if error.errno in (errno.ENOENT, errno.EINPROGRESS, errno.ESRCH):
                return False
            raise
        return True

    def _send(self, call: Notification, value: int, error: int, flags: int) -> None:
        try:
            fcntl.ioctl(self._fd, _SEND, _RESPONSE.pack(call.id, value, error, flags) + self._padding)
        except OSError as failure:
            if failure.errno not in (errno.ENOENT, errno.EINPROGRESS):
                raise
