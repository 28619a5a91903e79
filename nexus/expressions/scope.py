"""What an expression may see while it is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nexus.kinds.base import SourceFiles
from nexus.model.addresses import Address
from nexus.model.resources import Each
from nexus.model.values import Value


class Resources(Protocol):
    """Outputs of resources, as far as they are known by now."""

    def outputs(self, address: Address) -> Value:
        """Of one resource; for a block with instances a map from key to outputs. Raises KeyError when there is none."""

    def fields(self, address: Address) -> Mapping[str, Value]:
        """Fields of one resource as the manifest asks for them, normalised. Raises KeyError likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """``secrets`` are Sensitive; one that has no value here is unknown. ``each`` and ``resources`` may be missing.

    ``this`` is what ``self`` stands for: outputs and fields of the resource that a postcondition is about.
    """

    variables: Mapping[str, Value] = field(default_factory=dict)
    secrets: Mapping[str, Value] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    files: SourceFiles | None = None
    each: Each | None = None
    resources: Resources | None = None
    this: Value = None
