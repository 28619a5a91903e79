"""Keeping the memory that forks share apart from the memory they write to."""

from __future__ import annotations

import gc
from typing import Final

# CPython keeps small objects in pools, each for one size; a pool's first object lies behind its header.
_POOL: Final = 16 * 1024
_HEADER: Final = 48
_STEP: Final = 16
_LARGEST: Final = 512
_BYTES_HEADER: Final = 33
_MOST: Final = 100_000

_fillers: list[object] = []


def seal() -> None:
    """Fill the gaps between the objects that are there, so that what forks allocate does not come to lie among them.

    A fork that writes into a page gets a copy of all of it. Where the interpreter lays its objects out differently,
    this costs some memory and changes nothing.
    """
    gc.collect()
    for size in range(3 * _STEP, _LARGEST + 1, _STEP):
        for _ in range(_MOST):
            filler = bytes(size - _BYTES_HEADER)
            _fillers.append(filler)
            if id(filler) % _POOL == _HEADER:
                # The first of a fresh pool: the old ones of this size have no room left.
                break
    gc.freeze()
