"""nexus: declarative infrastructure as code for E2B sandboxes.

project = nexus.load("examples/quickstart")
project.apply()
print(project.outputs()["url"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexus.api.names import *  # noqa: F403 - for checkers and editors; programs get them as they ask for them

__version__ = "0.1.0"
"""The same as in the package's metadata, but there without reading it from disk."""


def __getattr__(name: str) -> object:
    """Names of the Python API, imported when they are first asked for: the command line starts without them."""
    from importlib import import_module
    from importlib.util import find_spec

    # Before «from nexus import ROOM», Python asks whether the room is here already.
    if name == "__all__" or not (name.startswith("_") or find_spec(f"nexus.{name}")):
        offered = import_module("nexus.api.names")
        if name == "__all__":
            return [*offered.__all__, "__version__"]
        if name in offered.__all__:
            return getattr(offered, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
