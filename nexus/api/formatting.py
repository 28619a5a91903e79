"""Manifests in their one layout."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nexus.workflows import formatting
from nexus.workflows.formatting import Formatted, Formatting


def format_text(text: str, name: str = "the manifest") -> Formatted:
    """One manifest in its layout; messages call it ``name``. Raises NexusError when it is no YAML that could be one."""
    return formatting.format_text(text, name)


def format_manifests(
    folder: str | os.PathLike[str] = ".", paths: Iterable[str | os.PathLike[str]] = (), *, write: bool = False
) -> Formatting:
    """Files, and the manifests of folders with all that they include; of ``folder`` where no path is given.

    Nothing is written unless ``write`` says so. Relative paths begin at ``folder``. What keeps a file from being
    formatted is among the ``problems`` of the answer. Raises NexusError when one can't be written.
    """
    done = formatting.format_files(Path(folder).absolute(), [Path(item) for item in paths])
    if write:
        for path, item in done.files.items():
            if item.is_changed:
                formatting.write(path, item)
    return done
