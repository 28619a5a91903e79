"""``${{ … }}`` in strings of the manifest: parsed once, checked without running, evaluated against a scope."""

from nexus.expressions.evaluation import evaluate, resolve
from nexus.expressions.functions import FUNCTIONS, Function
from nexus.expressions.parsing import Path, Places, escaped, interpret, parse, parse_tree
from nexus.expressions.references import ROOTS
from nexus.expressions.scope import Resources, Scope

__all__ = [
    "FUNCTIONS",
    "ROOTS",
    "Function",
    "Path",
    "Places",
    "Resources",
    "Scope",
    "escaped",
    "evaluate",
    "interpret",
    "parse",
    "parse_tree",
    "resolve",
]
