"""How long operations may take: ``timeouts`` of their blocks, by class of operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nexus.graph import DesiredGraph
from nexus.model.changes import Operation, Verb

_CLASS_OF: Final[Mapping[Verb, str]] = {
    Verb.CREATE: "create",
    Verb.ARM: "create",
    Verb.BUILD: "update",
    Verb.EXTEND: "update",
    Verb.RESUME: "update",
    Verb.SET_NETWORK: "update",
    Verb.SET_ENV: "update",
    Verb.SET_TAGS: "update",
    Verb.SET_PUBLIC: "update",
    Verb.INSTALL: "setup",
    Verb.UPLOAD: "setup",
    Verb.RUN_COMMAND: "setup",
    Verb.START: "setup",
    Verb.DELETE: "delete",
}
"""What has a limit of its own, such as ``ready.timeout`` and that of a step, is in no class."""


def bounded(operations: tuple[Operation, ...], graph: DesiredGraph) -> tuple[Operation, ...]:
    """The operations with the limits that the manifest sets."""
    if not any(spec.timeouts for spec in graph.resources.values()):
        return operations
    return tuple(replace(operation, limit=_limit(operation, graph)) for operation in operations)


def limit_name(verb: Verb) -> str:
    """The key of ``timeouts`` that bounds such operations."""
    return f"timeouts.{_CLASS_OF[verb]}" if verb in _CLASS_OF else "timeouts"


def _limit(operation: Operation, graph: DesiredGraph) -> int | None:
    spec = graph.resources.get(operation.address)
    return None if spec is None else spec.timeouts.get(_CLASS_OF.get(operation.verb, ""))
