"""Entry point of ``nexus`` and ``python -m nexus``."""

from __future__ import annotations

import gc
import sys
from typing import Final

_COLLECT_AFTER: Final = (200_000, 50, 100)
"""New objects before garbage is looked for. Nearly all that a command makes lives until it ends: with Python's own 700,
a third of the time of a large plan goes into finding that out."""


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(*_COLLECT_AFTER)
    from nexus.cli.main import run

    code = run(sys.argv[1:])
    gc.freeze()  # the process ends: whatever is left needs no sorting into garbage
    sys.exit(code)


if __name__ == "__main__":
    main()
