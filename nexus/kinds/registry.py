"""All kinds, by their word in addresses. A new kind is one module and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nexus.kinds.base import Kind
from nexus.kinds.catalogue import CatalogueKind
from nexus.kinds.sandbox import SandboxKind
from nexus.kinds.shared_setup import SharedSetupKind
from nexus.kinds.step import StepKind
from nexus.kinds.template import TemplateKind
from nexus.kinds.volume import VolumeKind

_ALL: tuple[Kind[object], ...] = (
    VolumeKind(),
    CatalogueKind(),
    TemplateKind(),
    SharedSetupKind(),
    SandboxKind(),
    StepKind(),
)

KINDS: Final[Mapping[str, Kind[object]]] = MappingProxyType({kind.name: kind for kind in _ALL})
"""In the order in which resources are usually made."""
