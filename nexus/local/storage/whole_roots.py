"""Roots that are complete copies, for machines that cannot lie over layers. A layer then is a whole root as well."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nexus.local.storage.layout import ROOT_TREE, Store, layer_key


def root_of(store: Store, machine_id: str) -> Path:
    """The folder that is the machine's ``/``."""
    return store.upper(machine_id) / ROOT_TREE / "u"


def fill_root(store: Store, machine_id: str, base: str, layers: Sequence[str]) -> None:
    """Copy what the machine starts from into its empty root: the topmost of ``layers`` (ids), else the base (its key).

    File systems that can share blocks do. Raises OSError.
    """
    source = (store.layers / layer_key(layers[-1]) if layers else store.bases / base) / ROOT_TREE
    if not source.is_dir():
        raise FileNotFoundError(f"a layer that the machine stands on is gone: {source.name}")
    if shutil.which("cp") is None:
        raise OSError("copies of the root file system need the program cp")
    arguments = ["cp", "-a", "--reflink=auto", "--", f"{source}/.", str(root_of(store, machine_id))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"copying the root file system failed: {done.stderr.strip()[-500:]}")
