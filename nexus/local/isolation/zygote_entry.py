"""``python -m nexus.local.isolation.zygote_entry FD TIER``: the zygote with as little in memory as possible."""

from __future__ import annotations

import importlib.util
import sys
import types


def main(descriptor: int, tier: str) -> None:
    """Run the zygote; see :func:`nexus.local.isolation.zygote.main`."""
    _leave_out_the_sdk()
    from nexus.local.isolation import tiers, zygote

    zygote.main(descriptor, tiers.by_name(tier))


def _leave_out_the_sdk() -> None:
    """Let ``e2b.envd…`` be imported without ``e2b`` itself.

    envd needs the generated messages alone. Importing the package above them would load the whole client, which is
    more than a third of the memory of the process that every machine is a copy of.
    """
    found = importlib.util.find_spec("e2b")
    if found is not None and found.submodule_search_locations:
        package = types.ModuleType("e2b")
        package.__spec__ = found
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["e2b"] = package


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
