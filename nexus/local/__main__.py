"""``python -m nexus.local``: the daemon's process."""

import sys

from nexus.local.serving import main

if __name__ == "__main__":
    sys.exit(main())
