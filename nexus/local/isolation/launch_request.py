"""What travels from the daemon to the process that makes a machine, and how it is written on the wire.

It holds secrets, so it goes over a socket only.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nexus.local.envd.config import EnvdConfig
from nexus.local.isolation.base import Limits

NetworkKind = Literal["own", "loopback", "host"]
"""A network of the machine's own with egress through the supervisor, the same without any egress, or the host's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """One machine to make, in the words of the kernel side.

    ``base`` and ``layers`` are folder names in the store, layers lowest first. ``trees`` are the overlays, the root's
    first. ``boot_id`` None leaves the host's. ``self_test`` has the init write and execute something before it reports
    to be ready.
    """

    machine_id: str
    hostname: str
    tier: str
    store: Path
    runtime: Path
    base: str
    layers: tuple[str, ...]
    trees: tuple[str, ...]
    volumes: Mapping[str, Path]
    limits: Limits
    network: NetworkKind
    envd: EnvdConfig
    boot_id: str | None = None
    self_test: bool = False

    def encode(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), default=str).encode()

    @classmethod
    def decode(cls, data: bytes) -> LaunchRequest:
        fields = json.loads(data)
        return cls(
            machine_id=fields["machine_id"],
            hostname=fields["hostname"],
            tier=fields["tier"],
            store=Path(fields["store"]),
            runtime=Path(fields["runtime"]),
            base=fields["base"],
            layers=tuple(fields["layers"]),
            trees=tuple(fields["trees"]),
            volumes={path: Path(source) for path, source in fields["volumes"].items()},
            limits=Limits(**fields["limits"]),
            network=fields["network"],
            envd=EnvdConfig(**fields["envd"]),
            boot_id=fields["boot_id"],
            self_test=fields["self_test"],
        )
