"""All that is in the files below some folders, for tests that look for what must not be there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def contents_below(*roots: Path) -> Iterator[tuple[Path, bytes]]:
    """Every plain file with its content. An engine writes and removes some meanwhile; what is gone holds nothing."""
    for root in roots:
        for folder, _, names in os.walk(root):
            for path in (Path(folder, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    with suppress(FileNotFoundError):
                        yield path, path.read_bytes()
