"""The CEL library without its command line.

The package ``cel`` imports a command line of its own, with all that it takes to draw one, which lasts longer than most
plans do. All that is needed here is its compiled module, so that one is loaded alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Final

__all__ = ["cel"]

_COMPILED: Final = "cel.cel"


def _load() -> ModuleType:
    """The compiled module; the whole package where it was imported already, or does not look as expected."""
    package = PathFinder.find_spec("cel")
    if "cel" not in sys.modules and package is not None and package.submodule_search_locations is not None:
        spec = PathFinder.find_spec(_COMPILED, package.submodule_search_locations)
        if spec is not None and spec.loader is not None:
            # Under its own name, so that whoever imports the package later gets the same module.
            module = sys.modules[_COMPILED] = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return import_module("cel")


if TYPE_CHECKING:
    import cel
else:
    cel = _load()
