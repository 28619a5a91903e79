"""Entry point of ``nexus`` and ``python -m nexus``."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import Final

_COLLECT_AFTER: Final = 500_000
"""New objects before garbage is looked for. Nearly all that a command makes lives until it ends; with Python's own 700,
a third of the time of a large plan goes into finding that out. Half a million objects are some 50 MB."""


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(_COLLECT_AFTER, 20, 100)
    from nexus.cli.main import run

    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # The interpreter is not taken down piece by piece: native threads of the HTTP client may still have something to
    # tell it, and abort the process when nobody is there to listen.
    os._exit(code)


if __name__ == "__main__":
    main()
