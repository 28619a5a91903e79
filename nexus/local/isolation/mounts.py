"""Putting a machine's root file system together, in a mount namespace of its own.

Everything is mounted below a tmpfs on the stage folder::

    stage/store          the store, mapped to the machine's ids where the tier does so
    stage/host/<name>    the folders the host lends
    stage/root           the machine's /, overlays and all

Overlay options are relative to the store's layers folder: short, and free of host paths for readers of mountinfo.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.local.isolation import syscalls
from nexus.local.isolation.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC, MS_REMOUNT
from nexus.local.isolation.user_namespaces import MappedNamespace
from nexus.local.storage.layout import ROOT_TREE

_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_TTY_GROUP: Final = 5
_READ_ONLY_PROC: Final = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_HIDDEN_PROC: Final = ("acpi", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats")


@dataclass(frozen=True, slots=True, kw_only=True)
class RootPlan:
    """What a root is made of. ``layers`` lowest first; ``mapping`` None keeps ids as they are."""

    stage: Path
    store: Path
    machine_id: str
    base: str
    layers: Sequence[str]
    trees: Sequence[str]
    volumes: dict[str, Path]
    mapping: MappedNamespace | None
    single_uid: bool

    @property
    def root(self) -> Path:
        return self.stage / "root"


def make_private() -> None:
    """Keep what is mounted from now on out of every other mount namespace."""
    syscalls.mount("none", "/", None, MS_REC | syscalls.MS_PRIVATE)


def assemble_root(plan: RootPlan) -> None:
    """Mount everything but ``/proc``, which must be mounted by the machine's own init."""
    syscalls.mount("tmpfs", str(plan.stage), "tmpfs", MS_NOSUID | MS_NODEV, "mode=711,size=1m")
    store = plan.stage / "store"
    _attach(plan.store, store, plan.mapping)
    for name in plan.trees:
        if name != ROOT_TREE:
            _attach(Path("/") / name, plan.stage / "host" / name, plan.mapping)
    plan.root.mkdir()
    os.chdir(store / "layers")
    if missing := [key for key in plan.layers if not Path(key).is_dir()]:
        raise FileNotFoundError(f"layers that the machine stands on are gone: {', '.join(missing)}")
    if plan.mapping is not None:
        # Through a mapped mount only ids inside the map can create files, the overlay's work folder for one. Changing
        # them would drop capabilities, which the bit prevents.
        syscalls.prctl(syscalls.PR_SET_SECUREBITS, syscalls.SECBIT_NO_SETUID_FIXUP)
        syscalls.set_filesystem_ids(plan.mapping.first_id, plan.mapping.first_id)
    for name in plan.trees:
        _mount_overlay(plan, name)
    _mount_devices(plan)
    _mount_scratch(plan, "run", "mode=755")
    (plan.root / "run/lock").mkdir(mode=0o1777)
    (plan.root / "run/lock").chmod(0o1777)
    _mount_sys(plan)
    for inside, source in sorted(plan.volumes.items()):
        _mount_volume(plan, inside, source)
    if plan.mapping is not None:
        syscalls.set_filesystem_ids(0, 0)


def mount_proc(root: Path, *, guard: bool) -> None:
    """Mount ``/proc``; ``guard`` closes what only a root with full powers over the host may touch."""
    proc = root / "proc"
    syscalls.mount("proc", str(proc), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if not guard:
        return
    for name in _READ_ONLY_PROC:
        if (proc / name).exists():
            _bind_read_only(proc / name)
    for name in _HIDDEN_PROC:
        if (proc / name).is_dir():
            syscalls.mount("tmpfs", str(proc / name), "tmpfs", MS_RDONLY, "size=0,mode=555")
        elif (proc / name).exists():
            syscalls.mount(str(root / "dev/null"), str(proc / name), None, MS_BIND)


def show_boot_id(root: Path, stage: Path, boot_id: str) -> None:
    """Have the machine see ``boot_id`` as the kernel's: what it was booted with, while the host's kernel goes on."""
    source, target = stage / "boot-id", root / "proc/sys/kernel/random/boot_id"
    source.write_text(f"{boot_id}\n")
    source.chmod(0o444)
    syscalls.mount(str(source), str(target), None, MS_BIND)
    syscalls.mount("none", str(target), None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def enter(root: Path) -> None:
    """Make ``root`` the root of this process and let go of everything else that is mounted."""
    os.chdir(root)
    syscalls.pivot_root(".", ".")
    syscalls.unmount(".")
    os.chdir("/")


def map_ids(path: Path, mapping: MappedNamespace) -> None:
    """Try whether what is mounted at ``path`` can be shown with mapped ids. Raises OSError where it can't."""
    os.close(_mapped_tree(path, mapping))


def overlay_options(plan: RootPlan, tree: str) -> str:
    """The mount options of one tree's overlay, relative to the layers folder."""
    lowers = [f"{key}/{tree}" for key in reversed(plan.layers) if Path(key, tree).is_dir()]
    lowers.append(f"../base/{plan.base}/{tree}")
    if tree != ROOT_TREE:
        lowers.append(f"../../host/{tree}")
    upper = f"../up/{plan.machine_id}/{tree}"
    marks = "userxattr" if plan.single_uid else "index=off,metacopy=off,redirect_dir=off"
    return f"lowerdir={':'.join(lowers)},upperdir={upper}/u,workdir={upper}/w,{marks}"


def _attach(source: Path, target: Path, mapping: MappedNamespace | None) -> None:
    """Show ``source`` at ``target``, with mapped ids if asked for."""
    target.mkdir(parents=True)
    if mapping is None:
        # Without MS_REC the kernel refuses, in a user namespace, to uncover what other mounts lie on.
        syscalls.mount(str(source), str(target), None, MS_BIND | MS_REC)
        return
    tree = _mapped_tree(source, mapping)
    try:
        syscalls.move_mount(tree, str(target))
    finally:
        os.close(tree)


def _mapped_tree(source: Path, mapping: MappedNamespace) -> int:
    """A detached copy of the mount at ``source`` that shows ids inside of ``mapping``; the caller closes it."""
    tree = syscalls.open_tree(str(source))
    try:
        syscalls.set_mount_attributes(tree, syscalls.MOUNT_ATTR_IDMAP, userns_fd=mapping.fd)
    except OSError:
        os.close(tree)
        raise
    return tree


def _mount_overlay(plan: RootPlan, tree: str) -> None:
    target = plan.root if tree == ROOT_TREE else plan.root / tree
    try:
        syscalls.mount("overlay", str(target), "overlay", 0, overlay_options(plan, tree))
    except syscalls.MountDataTooLongError as error:
        raise ValueError(f"{len(plan.layers)} layers are too many for one machine: {error}") from error


def _owner_options(mapping: MappedNamespace | None) -> str:
    return "" if mapping is None else f",uid={mapping.first_id},gid={mapping.first_id}"


def _mount_scratch(plan: RootPlan, name: str, options: str) -> None:
    data = options + _owner_options(plan.mapping)
    syscalls.mount("tmpfs", str(plan.root / name), "tmpfs", MS_NOSUID | MS_NODEV, data)


def _mount_devices(plan: RootPlan) -> None:
    dev = plan.root / "dev"
    syscalls.mount("tmpfs", str(dev), "tmpfs", MS_NOSUID, "mode=755,size=64k" + _owner_options(plan.mapping))
    for name in _DEVICES:
        (dev / name).touch()
        syscalls.mount(f"/dev/{name}", str(dev / name), None, MS_BIND)
    for name, target in _DEVICE_LINKS.items():
        (dev / name).symlink_to(target)
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    first_id = plan.mapping.first_id if plan.mapping else 0
    group = "" if plan.single_uid else f",gid={first_id + _TTY_GROUP}"
    terminals = f"newinstance,ptmxmode=0666,mode=620{group}"
    syscalls.mount("devpts", str(dev / "pts"), "devpts", MS_NOSUID | MS_NOEXEC, terminals)
    _mount_scratch(plan, "dev/shm", "mode=1777")


def _mount_sys(plan: RootPlan) -> None:
    """The host's ``/sys``, read-only; without what is mounted below it where the kernel lets us."""
    target = str(plan.root / "sys")
    if not plan.single_uid:
        syscalls.mount("/sys", target, None, MS_BIND)
        flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
        syscalls.mount("none", target, None, flags)
        return
    tree = syscalls.open_tree("/sys", recursive=True)
    try:
        syscalls.set_mount_attributes(tree, syscalls.MOUNT_ATTR_RDONLY, recursive=True)
        syscalls.move_mount(tree, target)
    finally:
        os.close(tree)


def _mount_volume(plan: RootPlan, inside: str, source: Path) -> None:
    target = _volume_target(plan.root, inside)
    if plan.mapping is None:
        syscalls.mount(str(source), str(target), None, MS_BIND | MS_REC)
        return
    tree = _mapped_tree(source, plan.mapping)
    try:
        syscalls.move_mount(tree, str(target))
    finally:
        os.close(tree)


def _volume_target(root: Path, inside: str) -> Path:
    """The folder to mount on, made if missing. Links are refused: in a layer they could lead out of the machine."""
    current = root
    for part in Path(inside).parts[1:]:
        if part == "..":
            raise ValueError(f"a volume's path must not contain '..': {inside}")
        current /= part
        if not os.path.lexists(current):
            current.mkdir()
        elif not stat.S_ISDIR(current.lstat().st_mode):
            raise ValueError(f"a volume cannot be mounted at {inside}: {part} is not a folder")
    if current == root:
        raise ValueError("a volume cannot replace the root of a machine")
    return current


def _bind_read_only(path: Path) -> None:
    syscalls.mount(str(path), str(path), None, MS_BIND | MS_REC)
    syscalls.mount("none", str(path), None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
