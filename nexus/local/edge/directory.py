"""What the edge asks of the room that knows the sandboxes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Reachable(Protocol):
    """The part of a machine that carries traffic."""

    @property
    def envd_socket(self) -> Path: ...

    async def dial(self, port: int) -> socket.socket:
        """A connected, non-blocking socket to ``port`` inside. Raises ConnectionRefusedError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """How the ports of a sandbox, envd's apart, may be reached from outside.

    With ``public`` False a request must show ``traffic_token``. ``mask_host`` replaces the Host header; the text
    ``${PORT}`` in it stands for the port asked for. Servers on ``https_ports`` speak TLS.
    """

    public: bool = True
    traffic_token: str | None = None
    mask_host: str | None = None
    https_ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A running sandbox and the way in. ``has_room`` says whether more may be uploaded to it."""

    sandbox_id: str
    machine: Reachable
    ingress: Ingress = field(default_factory=Ingress)
    has_room: Callable[[], bool] = lambda: True


class InTransitionError(Exception):
    """The sandbox is just being paused, resumed or replaced; the request may be repeated."""


class NotResumedError(Exception):
    """A paused sandbox could not be resumed for a request; ``status`` is that of the answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Directory(Protocol):
    """Finds sandboxes for the edge."""

    async def find(self, sandbox_id: str) -> Route | None:
        """The running sandbox of that id, or None when it is unknown, killed or paused.

        Called for every request, so this is where a paused sandbox with auto-resume is resumed. Raises
        :class:`InTransitionError` and :class:`NotResumedError`.
        """

    def tokens(self) -> Iterable[tuple[str, str]]:
        """Id and access token of every sandbox that a signed URL may mean."""
