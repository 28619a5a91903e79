"""The ways of making machines, as data: what differs between them is said here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nexus.local.envd.config import UserSwitch
from nexus.local.isolation import capabilities
from nexus.local.storage.guest_files import Rise


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One way of making machines.

    ``mapped`` gives each machine host ids of its own, mapped onto the store's mounts. ``single_uid`` is for hosts where
    nexus runs as an ordinary user: the machine lives in a user namespace with one real uid. ``store`` names the store:
    layers of the two kinds of overlay marks cannot be mixed. ``namespaces`` False is for hosts that have none to give:
    a machine is then a private copy of the whole root, and ``lacks`` says what it does not keep apart. Nobody gets such
    a tier without having asked for it.
    """

    name: str
    title: str
    store: str
    mapped: bool
    single_uid: bool
    capabilities: frozenset[int]
    user_switch: UserSwitch
    rise: Rise
    namespaces: bool = True
    lacks: tuple[str, ...] = ()


IDMAP: Final = Tier(
    name="idmap",
    title="root of a sandbox is an unprivileged user of this host (needs root and Linux 5.19)",
    store="shared",
    mapped=True,
    single_uid=False,
    capabilities=capabilities.NAMESPACE_ROOT,
    user_switch="setuid",
    rise="su",
)

ROOT: Final = Tier(
    name="root",
    title="root of a sandbox is this host's root with few capabilities (needs root)",
    store="shared",
    mapped=False,
    single_uid=False,
    capabilities=capabilities.HOST_ROOT,
    user_switch="setuid",
    rise="su",
)

ROOTLESS_SINGLE: Final = Tier(
    name="rootless1",
    title="sandboxes of an ordinary user, all their accounts share one uid (needs user namespaces)",
    store="rootless",
    mapped=False,
    single_uid=True,
    # The namespace is its own: all it can do with them stays inside, and nested namespaces need SETUID and SYS_ADMIN.
    capabilities=capabilities.NAMESPACE_ROOT,
    user_switch="userns",
    rise="userns",
)

CHROOT: Final = Tier(
    name="chroot",
    title="private copies of the root file system, nothing else is kept apart (needs root, and to be asked for)",
    store="chroot",
    mapped=False,
    single_uid=False,
    capabilities=capabilities.CHROOT_ROOT,
    user_switch="setuid",
    rise="su",
    namespaces=False,
    lacks=(
        "processes: root of a sandbox can signal everything that runs in this container, the engine too, and users of "
        "the same number in different sandboxes can signal and trace each other",
        "network: sandboxes share this container's ports, loopback and abstract sockets; network rules and sandboxes "
        "without internet are refused",
        "/proc and /sys are empty in sandboxes, so ps, top and <( ) of bash do not work",
        "volumes cannot be mounted",
        "every sandbox and every layer is a full copy of the root file system",
    ),
)

ALL: Final = (IDMAP, ROOT, ROOTLESS_SINGLE)
"""Those that isolate, best first."""

BY_CONSENT: Final = (CHROOT,)
"""Those that are only taken by name."""


def by_name(name: str) -> Tier:
    """Raises ValueError for a name that is no tier."""
    known = (*ALL, *BY_CONSENT)
    for tier in known:
        if tier.name == name:
            return tier
    raise ValueError(f"no isolation tier is called {name!r}; there are {', '.join(tier.name for tier in known)}")
