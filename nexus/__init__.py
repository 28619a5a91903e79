"""nexus: declarative infrastructure as code for E2B sandboxes.

project = nexus.load("examples/quickstart")
project.apply()
print(project.outputs()["url"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexus.api import Applied, ApplyError, ManifestError, NexusError, Plan, Project, load

__version__ = "0.1.0"
"""The same as in the package's metadata, but there without reading it from disk."""

__all__ = ["Applied", "ApplyError", "ManifestError", "NexusError", "Plan", "Project", "__version__", "load"]


def __getattr__(name: str) -> object:
    """Names of the Python API, imported when they are first asked for: the command line starts without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("nexus.api"), name)
