"""How the supervisor hands a connection to the engine's relay instead of to its destination.

The program's socket is connected to the relay, and before the program's own bytes come those of a *diversion*: who
connects where. Its token shows that it was the supervisor who said so; no program inside can, because its socket has
spoken already when it gets it.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, field
from typing import Final

LENGTH: Final = struct.Struct("!H")
"""Comes first: the size of the JSON text that follows."""

MOST_NAMES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversion:
    """``host`` and ``port`` are the destination; ``names`` are those the machine was lately told for that address."""

    token: str = field(repr=False)
    machine: str
    host: str
    port: int
    names: tuple[str, ...] = ()


def encode(diversion: Diversion) -> bytes:
    """What goes ahead of the program's bytes."""
    names = [name for name in diversion.names if len(name) < 256][:MOST_NAMES]
    text = json.dumps({**asdict(diversion), "names": names}, separators=(",", ":")).encode()
    return LENGTH.pack(len(text)) + text


def decode(text: bytes) -> Diversion:
    """The diversion in a JSON text. Raises ValueError for anything that :func:`encode` would not make."""
    match json.loads(text):
        case {
            "token": str(token),
            "machine": str(machine),
            "host": str(host),
            "port": int(port),
            "names": list(names),
        }:
            return Diversion(
                token=token, machine=machine, host=host, port=port, names=tuple(str(name) for name in names)
            )
        case _:
            raise ValueError("not a diversion")
