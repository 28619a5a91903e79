"""Normalising without a disk: files that a test makes up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from nexus.kinds.base import Normalising
from nexus.kinds.registry import KINDS
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostics, DiagnosticsError, error
from nexus.model.resources import Each, ResourceSpec
from nexus.model.state import FileEntry, Tree, tree_digest
from nexus.model.values import Attributes, Value, fingerprinter


@dataclass
class MadeUpFiles:
    files: dict[str, str] = field(default_factory=dict)
    sensitive: list[str] = field(default_factory=list)

    def text(self, path: str) -> str:
        if path not in self.files:
            raise DiagnosticsError(error("file-not-found", f"There is no {path}"))
        return self.files[path]

    def tree(self, source: str, exclude: Sequence[str], *, mode: int | None = None) -> tuple[str, Tree]:
        name = source.strip("./")
        found = {
            path.removeprefix(name).lstrip("/"): text for path, text in self.files.items() if path.startswith(name)
        }
        if not found:
            raise DiagnosticsError(error("file-not-found", f"There is no {source}"))
        tree = {path: self._entry(text, 0o644 if mode is None else mode) for path, text in found.items()}
        return tree_digest(tree), tree

    def inline(self, content: str | bytes, mode: int, *, sensitive: bool = False) -> tuple[str, Tree]:
        if sensitive:
            self.sensitive.append(str(content))
        tree = {"": self._entry(str(content), mode)}
        return tree_digest(tree), tree

    def content(self, digest: str, path: str) -> Iterator[bytes]:
        raise NotImplementedError

    @staticmethod
    def _entry(text: str, mode: int) -> FileEntry:
        return FileEntry(hashlib.sha256(text.encode()).hexdigest(), mode, len(text))


@dataclass
class Normalised:
    attributes: Attributes
    diagnostics: Diagnostics
    context: Normalising

    @property
    def codes(self) -> list[str]:
        return [item.code for item in self.diagnostics]

    def __getitem__(self, name: str) -> Any:
        return self.attributes[name]


Normalise = Callable[..., Normalised]


@pytest.fixture
def files() -> MadeUpFiles:
    return MadeUpFiles({"lib/a.py": "a", "lib/sub/b.py": "b", "notes.txt": "n", "step.py": "print(1)"})


@pytest.fixture
def normalise(files: MadeUpFiles) -> Normalise:
    def run(address: str, attributes: Mapping[str, Value], each: Each | None = None) -> Normalised:
        parsed = Address.parse(address)
        diagnostics = Diagnostics()
        context = Normalising(
            spec=ResourceSpec(address=parsed, attributes={}, each=each),
            files=files,
            project="Shop",
            environment="prod",
            diagnostics=diagnostics,
            fingerprint=fingerprinter(b"key"),
        )
        return Normalised(KINDS[parsed.kind].normalise(attributes, context), diagnostics, context)

    return run
