"""References of the catalogue's builds: known from the definitions alone, before anything is built."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache

from nexus.kinds.definitions import BASE_IMAGE, DEFINITIONS, Definition
from nexus.model.values import digest


def e2b_template(definition: Definition) -> str:
    """The name in the account: all projects share one build."""
    return f"nexus-{definition.name}"


def reference(definition: Definition) -> str:
    """``nexus-name:spec-…``: another digest, so another build, whenever the definition changes."""
    return _reference(definition.name) if DEFINITIONS.get(definition.name) is definition else _compute(definition)


@cache
def _reference(name: str) -> str:
    return _compute(DEFINITIONS[name])


def _compute(definition: Definition) -> str:
    inputs = {key: list(item) if isinstance(item, tuple) else item for key, item in asdict(definition).items()}
    for words in ("description", "aliases"):
        del inputs[words]
    return f"{e2b_template(definition)}:spec-{digest({**inputs, 'image': BASE_IMAGE}, 12)}"
