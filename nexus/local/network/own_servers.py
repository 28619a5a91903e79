"""What listens in a machine's own network, as the kernel tells of it."""

from __future__ import annotations

from typing import Final

_LISTENING: Final = b"0A"


def listens_on(pid: int, port: int) -> bool:
    """Whether a TCP server listens on ``port`` in the network of process ``pid``, at whichever address."""
    return any(_listed(f"/proc/{pid}/net/{table}", b":%04X" % port) for table in ("tcp", "tcp6"))


def _listed(table: str, port: bytes) -> bool:
    try:
        with open(table, "rb") as lines:  # noqa: PTH123 - while a program waits for its connection
            # Number, local address, remote address, state.
            rows = (line.split(maxsplit=4) for line in lines)
            return any(row[1].endswith(port) and row[3] == _LISTENING for row in rows)
    except OSError:
        return False
