"""Manifests as short texts, for tests of the rooms that come after reading: values with places, files in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import yaml

from nexus.expressions import Path, Places
from nexus.graph import DesiredGraph, Inputs, build
from nexus.kinds.registry import KINDS
from nexus.model.diagnostics import DiagnosticsError, SourcePos, SourceRange, error
from nexus.model.state import FileEntry, Tree, tree_digest
from nexus.model.values import Value


class MemoryFiles:
    """Files of a project that lie in memory, by relative path."""

    def __init__(self, files: Mapping[str, str] | None = None) -> None:
        self.files = dict(files or {})
        self.contents: dict[tuple[str, str], bytes] = {}

    def text(self, path: str) -> str:
        name = path.removeprefix("./")
        if name not in self.files:
            raise DiagnosticsError(error("file-missing", f"{path} does not exist"))
        return self.files[name]

    def tree(self, source: str, exclude: Sequence[str], *, mode: int | None = None) -> tuple[str, Tree]:
        name = source.removeprefix("./").rstrip("/")
        if name in self.files:
            return self._kept({"": self.files[name].encode()}, mode)
        inside = {
            path.removeprefix(f"{name}/"): content.encode()
            for path, content in self.files.items()
            if path.startswith(f"{name}/")
        }
        if not inside:
            raise DiagnosticsError(error("file-missing", f"{source} does not exist"))
        return self._kept(inside, mode)

    def inline(self, content: str | bytes, mode: int, *, sensitive: bool = False) -> tuple[str, Tree]:
        return self._kept({"": content if isinstance(content, bytes) else content.encode()}, mode)

    def content(self, digest: str, path: str) -> Iterator[bytes]:
        yield self.contents[digest, path]

    def _kept(self, contents: Mapping[str, bytes], mode: int | None) -> tuple[str, Tree]:
        tree = {
            path: FileEntry(hashlib.sha256(content).hexdigest(), mode or 0o644, len(content))
            for path, content in contents.items()
        }
        digest = tree_digest(tree)
        self.contents.update(((digest, path), content) for path, content in contents.items())
        return digest, tree


def places_of(text: str, file: str = "nexus.yaml") -> Places:
    """Where the value at each path of the YAML text stands."""
    found: dict[Path, SourceRange] = {}

    def walk(node: yaml.Node, path: Path) -> None:
        start, end = node.start_mark, node.end_mark
        found[path] = SourceRange(
            file, SourcePos(start.line + 1, start.column + 1), SourcePos(end.line + 1, end.column + 1)
        )
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                walk(value, (*path, index))

    root = yaml.compose(text)
    if root is not None:
        walk(root, ())
    return lambda path: found.get(path)


def inputs_of(
    text: str,
    *,
    variables: Mapping[str, Value] | None = None,
    secrets: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    files: MemoryFiles | None = None,
) -> Inputs:
    """What the graph is built from. Quote ``"on"`` in the text: it is read as YAML 1.1 here."""
    return Inputs(
        values=yaml.safe_load(text) or {},
        places=places_of(text),
        kinds=KINDS,
        files=files or MemoryFiles(),
        variables=variables or {},
        secrets=secrets,
        environment=environment or {},
    )


def graph_of(text: str, **known: object) -> DesiredGraph:
    return build(inputs_of(text, **known))  # type: ignore[arg-type]
