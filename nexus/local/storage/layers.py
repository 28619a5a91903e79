"""What machines write: uppers, and the layers made of them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from nexus.local.storage.copying import copy_written
from nexus.local.storage.layout import Store, is_snapshot_key, layer_key
from nexus.local.storage.removal import remove_tree
from nexus.local.storage.trash import Trash


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


def commit_upper(store: Store, trash: Trash, machine_id: str, layer_id: str) -> None:
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
    _install(scratch, store.layer(layer_id), trash)


def snapshot_upper(store: Store, trash: Trash, machine_id: str, layer_id: str, *, single_uid: bool) -> None:
    """Copy a machine's upper, which must not change meanwhile, into a layer; an existing layer wins.

    The layer appears whole or not at all. Raises OSError.
    """
    if store.layer(layer_id).exists():
        return
    scratch = store.scratch()
    scratch.mkdir(mode=0o711)
    try:
        for tree in sorted(store.upper(machine_id).iterdir()):
            copy_written(tree / "u", scratch / tree.name, single_uid=single_uid)
        _install(scratch, store.layer(layer_id), trash)
    except BaseException:
        trash.take(scratch)
        raise


def unneeded_layers(store: Store, needed: Collection[str], *, snapshots_only: bool) -> list[Path]:
    """The layers that are not among ``needed``, which holds ids; those that builds can make again only if asked for."""
    keys = {layer_key(layer_id) for layer_id in needed}
    return [
        layer
        for layer in store.layers.iterdir()
        if layer.name not in keys and (is_snapshot_key(layer.name) or not snapshots_only)
    ]


def empty_temporary(store: Store, trash: Trash) -> None:
    """Throw away what an interrupted commit or snapshot left half made. Only while nothing else uses the store."""
    for leftover in store.temporary.iterdir():
        trash.take(leftover)


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


def _install(scratch: Path, layer: Path, trash: Trash) -> None:
    try:
        scratch.rename(layer)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        trash.take(scratch)
