"""What machines write: uppers, and the layers made of them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nexus.local.storage.layout import Store
from nexus.local.storage.removal import remove_tree


def create_upper(store: Store, machine_id: str, trees: Sequence[str]) -> bool:
    """Make the folders a machine writes to; False when they are there already, with what it wrote before."""
    folder = store.upper(machine_id)
    if folder.exists():
        return False
    scratch = store.scratch()
    for tree in trees:
        (scratch / tree / "u").mkdir(parents=True)
        (scratch / tree / "w").mkdir()
        # The upper's own mode shows as the mode of the tree's root directory.
        (scratch / tree / "u").chmod(0o755)
    scratch.chmod(0o711)
    scratch.rename(folder)
    return True


def commit_upper(store: Store, machine_id: str, layer_id: str) -> None:
    """Turn a stopped machine's upper into a layer, by renames; an existing layer wins and the upper is dropped.

    Raises FileNotFoundError when the machine has no upper.
    """
    folder = store.upper(machine_id)
    scratch = store.scratch()
    folder.rename(scratch)
    for tree in sorted(scratch.iterdir()):
        upper = tree / "u"
        remove_tree(tree / "w")
        lifted = tree.with_name(tree.name + ".u")
        upper.rename(lifted)
        tree.rmdir()
        lifted.rename(tree)
    _install(scratch, store.layer(layer_id))


def snapshot_upper(store: Store, machine_id: str, layer_id: str) -> None:
    """Copy a machine's upper, which must not change meanwhile, into a layer; an existing layer wins.

    Holes, hard links, times, extended attributes, owners and overlay whiteouts come along, and file systems that can
    share blocks do.
    """
    if store.layer(layer_id).exists():
        return
    scratch = store.scratch()
    scratch.mkdir(mode=0o711)
    try:
        for tree in sorted(store.upper(machine_id).iterdir()):
            _copy_tree(tree / "u", scratch / tree.name)
        _install(scratch, store.layer(layer_id))
    except BaseException:
        remove_tree(scratch)
        raise


def discard_upper(store: Store, machine_id: str) -> None:
    """Remove what a machine wrote. Idempotent."""
    _discard(store, store.upper(machine_id))


def remove_layer(store: Store, layer_id: str) -> None:
    """Remove a layer. Idempotent; the caller knows that nothing stands on it."""
    _discard(store, store.layer(layer_id))


def empty_temporary(store: Store) -> None:
    """Remove what an interrupted commit, snapshot or removal left half done. Only while nothing else uses the store."""
    for leftover in store.temporary.iterdir():
        remove_tree(leftover)


def disk_usage(folder: Path) -> int:
    """Bytes on disk below ``folder``; what vanishes meanwhile counts as nothing."""
    total = 0
    pending = [os.fspath(folder)]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
    return total


def _discard(store: Store, folder: Path) -> None:
    """Out of sight at once, then away: a crash in between leaves nothing that looks whole."""
    scratch = store.scratch()
    try:
        folder.rename(scratch)
    except FileNotFoundError:
        return
    remove_tree(scratch)


def _install(scratch: Path, layer: Path) -> None:
    try:
        scratch.rename(layer)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        remove_tree(scratch)


def _copy_tree(source: Path, target: Path) -> None:
    arguments = ["cp", "-a", "--reflink=auto", "--", str(source), str(target)]
    if shutil.which("cp") is None:
        raise OSError("snapshots need the program cp")
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"copying what the machine wrote failed: {done.stderr.strip()[-500:]}")
