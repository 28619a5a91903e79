"""The wire between the daemon and the egress supervisor: JSON packets over a Unix socket, descriptors beside them.

One packet is one request or one reply. A request carries ``id``, ``operation`` and its arguments; a reply carries the
same ``id`` and ``error`` (a sentence) or results.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from nexus.local.isolation.base import NetworkPolicy

Packet: TypeAlias = dict[str, object]

LARGEST_PACKET: Final = 1 << 17
DESCRIPTORS_PER_MACHINE: Final = 3


def encode(packet: Mapping[str, object]) -> bytes:
    """Raises ValueError when it would not fit one packet."""
    data = json.dumps(packet, separators=(",", ":")).encode()
    if len(data) > LARGEST_PACKET:
        raise ValueError("too many network rules for one machine")
    return data


def decode(data: bytes) -> Packet:
    packet = json.loads(data)
    if not isinstance(packet, dict):
        raise ValueError("a control packet is a JSON object")
    return packet


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """The next packet and its descriptors (close-on-exec); no bytes when the other side is gone."""
    data, fds, _flags, _address = socket.recv_fds(
        sock, LARGEST_PACKET, DESCRIPTORS_PER_MACHINE, socket.MSG_CMSG_CLOEXEC
    )
    return data, fds


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def policy_to_json(policy: NetworkPolicy) -> Packet:
    return {
        "internet": policy.internet,
        "allow_out": list(policy.allow_out),
        "deny_out": list(policy.deny_out),
        "relayed_hosts": list(policy.relayed_hosts),
        "relay_all": policy.relay_all,
    }


def policy_from_json(value: object) -> NetworkPolicy:
    """Raises ValueError for anything but what :func:`policy_to_json` makes, now or in earlier versions."""
    earlier = {"relayed_hosts": [], "relay_all": False}
    match {**earlier, **value} if isinstance(value, dict) else value:
        case {
            "internet": bool(internet),
            "allow_out": list(allow_out),
            "deny_out": list(deny_out),
            "relayed_hosts": list(relayed_hosts),
            "relay_all": bool(relay_all),
        }:
            return NetworkPolicy(
                internet=internet,
                allow_out=tuple(str(rule) for rule in allow_out),
                deny_out=tuple(str(rule) for rule in deny_out),
                relayed_hosts=tuple(str(host) for host in relayed_hosts),
                relay_all=relay_all,
            )
        case _:
            raise ValueError("not a network policy")
