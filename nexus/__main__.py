"""Entry point of ``nexus`` and ``python -m nexus``."""

from __future__ import annotations

import contextlib
import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
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
