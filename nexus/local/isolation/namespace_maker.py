"""A helper of the zygote that has the next machine's user namespace ready before anybody asks for it.

Making one takes as long as a quarter of all the rest. The zygote does not do it itself, since whatever it writes to
between two forks is memory that the machines no longer share.
"""

from __future__ import annotations

import os
import socket
from typing import NoReturn

from nexus.local.isolation import user_namespaces
from nexus.local.isolation.user_namespaces import MappedNamespace

_LONGEST_MESSAGE = 1024


class NamespaceMaker:
    """The zygote's end of the line to its helper, which ends when this process does."""

    def __init__(self) -> None:
        self._line, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self._line.close()
            _make_forever(there)
        there.close()

    def take(self) -> MappedNamespace:
        """The namespace that is ready; the helper starts on the next. Raises OSError when none can be made."""
        data, descriptors, _, _ = socket.recv_fds(self._line, _LONGEST_MESSAGE, 1)
        self._line.send(b"n")
        if not descriptors:
            raise OSError(data.decode())
        return MappedNamespace(fd=descriptors[0], first_id=int(data))

    def close(self) -> None:
        """For forks of the zygote, which must not keep the helper alive."""
        self._line.close()


def _make_forever(line: socket.socket) -> NoReturn:
    try:
        while True:
            try:
                mapping = user_namespaces.create_mapped()
            except OSError as error:
                line.send(str(error).encode())
            else:
                socket.send_fds(line, [str(mapping.first_id).encode()], [mapping.fd])
                mapping.close()
            if not line.recv(1):
                break
    finally:
        os._exit(0)
