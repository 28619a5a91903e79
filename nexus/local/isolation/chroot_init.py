"""The machine's first process on a host without namespaces: a private copy of the root, few powers, and envd.

What :mod:`nexus.local.isolation.init_process` makes of namespaces is not to be had here; see ``lacks`` of the tier. The
copy must keep its prisoner by itself: the powers by which root leaves a chroot are gone, no descriptor leads out but
envd's own, and devices cannot be made.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from nexus.local.envd import terminals
from nexus.local.isolation import capabilities, syscalls
from nexus.local.isolation.init_process import (
    INIT_TITLE,
    Launch,
    close_descriptors,
    die_with_parent,
    serve_as,
    tell,
    test_root,
    write_hostname,
)
from nexus.local.storage.layout import Store
from nexus.local.storage.removal import remove_tree
from nexus.local.storage.whole_roots import root_of

_DEVICES: Final = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}


def become(launch: Launch) -> None:
    """Move into the machine's root and be its envd."""
    die_with_parent()
    os.setsid()
    syscalls.join_new_session_keyring()
    kept = {launch.boot.fileno(), launch.envd.fileno()}
    close_descriptors(kept)
    # Whatever is started here stays below this process, and is found when the machine is to be paused or ended.
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    terminals.remember_devices()
    os.chroot(root_of(Store(launch.request.store), launch.request.machine_id))
    os.chdir("/")
    os.setgroups([])
    # Only now: links that a layer has in these places must not lead to the host's.
    _make_devices(Path("/dev"))
    _empty_scratch(Path("/"))
    write_hostname(launch.request.hostname)
    tell(launch.boot, {"settled": None})
    if os.read(launch.boot.fileno(), 1) != b"1":
        raise OSError("the keeper did not take this machine")
    capabilities.limit_to(launch.tier.capabilities)
    # Its descriptor of the host's terminals, and its memory, are nobody else's business.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    die_with_parent()
    if launch.request.self_test:
        test_root(launch.tier)
    serve_as(launch, INIT_TITLE)


def _make_devices(dev: Path) -> None:
    """Raises OSError where nodes cannot be made, or the file system does not let them be opened."""
    for name, (major, minor) in _DEVICES.items():
        node = dev / name
        if not node.exists():
            node.unlink(missing_ok=True)
            os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            node.chmod(0o666)
    (dev / "null").write_bytes(b"x")
    for name in ("shm", "pts"):
        (dev / name).mkdir(exist_ok=True)
    (dev / "shm").chmod(0o1777)


def _empty_scratch(root: Path) -> None:
    """What other machines have in memory starts empty here too."""
    for name in ("run", "dev/shm"):
        for entry in (root / name).iterdir():
            remove_tree(entry)
    (root / "run/lock").mkdir()
    (root / "run/lock").chmod(0o1777)
