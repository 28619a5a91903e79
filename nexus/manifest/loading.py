"""From a project's folder to its manifest: finds the root file, reads what it includes, merges the sections."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nexus.manifest.overlays import overlaid, overlay_name, refusals
from nexus.manifest.source_map import Entry, SourceMap, Spot
from nexus.manifest.yaml_reader import Document, Plain, read_yaml
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, SourcePos, SourceRange, error, warning

MANIFEST_NAME: Final = "nexus.yaml"
SECTIONS: Final = (
    "variables",
    "environments",
    "secrets",
    "volumes",
    "templates",
    "sandboxes",
    "pipelines",
    "outputs",
    "policies",
    "moved",
)
"""Keys of the manifest that included files may add to."""

_LISTS: Final = ("removed", "import")
"""Keys that hold lists, to which included files may add."""

_SAME_EVERYWHERE: Final = ("apiVersion", "project")
_GLOB_CHARACTERS: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A project's merged manifest. ``values`` are plain; ``places`` says where each of them stands.

    ``root`` is the project's folder, ``files`` what was read, relative to it, the root file first. ``overlay`` is the
    one of them that belongs to one environment, "" where there is none. ``diagnostics`` is what is wrong with the text;
    what it says is not looked at yet.
    """

    root: Path
    files: tuple[str, ...]
    overlay: str = ""
    values: Mapping[str, Plain] = field(default_factory=dict)
    places: SourceMap = field(default_factory=SourceMap)
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def project(self) -> str:
        """The project's name, "" where it is missing."""
        name = self.values.get("project")
        return name if isinstance(name, str) else ""

    def section(self, name: str) -> Mapping[str, Plain]:
        """A section's blocks by name; empty where there is none."""
        section = self.values.get(name)
        return section if isinstance(section, dict) else {}


def find_project(path: Path) -> Path:
    """The manifest that ``path`` means: the file itself, or the nexus.yaml of a folder or of one above it.

    Raises DiagnosticsError when there is none.
    """
    if path.is_file():
        return path.absolute()
    if not path.exists():
        raise DiagnosticsError(error("no-project", f"There is no {path}", hint="name the folder of a project"))
    folder = path.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / MANIFEST_NAME).is_file():
            return candidate / MANIFEST_NAME
    similar = next((folder / name for name in ("nexus.yml", "Nexus.yaml") if (folder / name).is_file()), None)
    raise DiagnosticsError(
        error(
            "no-project",
            f"There is no {MANIFEST_NAME} in {folder}, nor in a folder above it",
            hint=f"rename {similar.name}" if similar else "«nexus init» makes a new project",
        )
    )


def read(path: Path, texts: Mapping[str, str] | None = None, *, environment: str = "") -> Manifest:
    """The manifest of the project at ``path`` (its folder or its root file), with all files that it includes.

    ``texts`` stand for what is in files of these names. What the file of ``environment`` says lies over it. Raises
    DiagnosticsError only where there is no project; all else that is wrong is in the manifest's diagnostics.
    """
    manifest = find_project(path)
    overlay = overlay_name(manifest.name, environment) if environment else None
    return _Loading(manifest.parent.resolve(), manifest.name, texts or {}).run(overlay)


class _Loading:
    """The reading of one project."""

    def __init__(self, root: Path, name: str, texts: Mapping[str, str]) -> None:
        self._root = root
        self._name = name
        self._texts = texts
        self._diagnostics = Diagnostics()
        self._files: list[str] = []
        self._values: dict[str, Plain] = {}
        self._entries: dict[str, Entry] = {}

    def run(self, overlay: str | None) -> Manifest:
        spot = self._add_file(self._name, None)
        whole = None if spot is None else Spot(spot.file, spot.start, spot.end, entries=self._entries)
        values: Plain = self._values
        is_there = overlay is not None and (overlay in self._texts or os.path.isfile(self._root / overlay))  # noqa: PTH113
        if overlay is not None and is_there and whole is not None:
            values, whole = self._overlaid(overlay, whole)
        return Manifest(
            root=self._root,
            files=tuple(self._files),
            overlay=overlay if overlay is not None and is_there else "",
            values=values if isinstance(values, dict) else {},
            places=SourceMap(whole),
            diagnostics=self._diagnostics.sorted(),
        )

    def _overlaid(self, name: str, whole: Spot) -> tuple[Plain, Spot]:
        """What the file of one environment says, over everything else. An empty one changes nothing."""
        self._files.append(name)
        document = self._read(name, None)
        self._diagnostics.extend(document.diagnostics)
        value, spot = document.value, document.spot
        if spot is None or value is None:
            return self._values, whole
        if not isinstance(value, dict):
            self._diagnostics.add(error("wrong-type", "A manifest is a mapping of sections", range=spot.range))
            return self._values, whole
        found = tuple(refusals(value, spot, self._values))
        self._diagnostics.extend(found)
        return (self._values, whole) if found else overlaid(self._values, whole, value, spot)

    def _add_file(self, name: str, included_at: SourceRange | None) -> Spot | None:
        """Reads a file and all that it includes, each file once."""
        self._files.append(name)
        document = self._read(name, included_at)
        self._diagnostics.extend(document.diagnostics)
        spot = document.spot
        if spot is None:
            if not document.diagnostics:
                self._diagnostics.add(_empty(name, included_at))
            return None
        if not isinstance(document.value, dict) or spot.entries is None:
            self._diagnostics.add(error("wrong-type", "A manifest is a mapping of sections", range=spot.range))
            return None
        self._merge(document.value, spot.entries)
        self._include(document.value.get("include"), spot.entries.get("include"))
        return spot

    def _read(self, name: str, included_at: SourceRange | None) -> Document:
        try:
            written = self._texts.get(name)
            content = (self._root / name).read_bytes() if written is None else written.encode()
            return read_yaml(content, name)
        except OSError as problem:
            unreadable = error("unreadable-file", f"{name} can't be read: {problem.strerror}", range=included_at)
            return Document(name, diagnostics=(unreadable,))

    def _merge(self, values: Mapping[str, Plain], entries: Mapping[str, Entry]) -> None:
        for key, value in values.items():
            entry = entries[key]
            first = self._entries.get(key)
            if first is None:
                self._adopt(key, value, entry)
            elif key in SECTIONS:
                self._merge_section(key, value, entry, first)
            elif key in _LISTS:
                self._extend(key, value, entry, first)
            elif key in _SAME_EVERYWHERE and self._values[key] != value:
                self._conflict("conflicting-files", f"{key} is not the same in all files", entry, first)
            elif key not in (*_SAME_EVERYWHERE, "include") and not key.startswith("x-"):
                self._conflict("duplicate-section", f"{key} is said in two files", entry, first)

    def _adopt(self, key: str, value: Plain, entry: Entry) -> None:
        spot = entry.value
        if key in SECTIONS and isinstance(value, dict) and spot.entries is not None:
            # A copy, as other files may add to it.
            value = dict(value)
            spot = Spot(spot.file, spot.start, spot.end, entries=dict(spot.entries))
        if key in _LISTS and isinstance(value, list) and spot.items is not None:
            value = list(value)
            spot = Spot(spot.file, spot.start, spot.end, items=list(spot.items))
        self._values[key] = value
        self._entries[key] = Entry(entry.file, entry.start, entry.end, spot)

    def _merge_section(self, section: str, value: Plain, entry: Entry, first: Entry) -> None:
        if value is None:
            return
        if self._values[section] is None:
            self._adopt(section, value, entry)
            return
        known, spots, theirs = self._values[section], first.value.entries, entry.value.entries
        if not isinstance(value, dict) or not isinstance(known, dict) or spots is None or theirs is None:
            self._conflict("wrong-type", f"{section} is a mapping of names", entry, first)
            return
        for name, block in value.items():
            if name in known:
                self._conflict("duplicate-name", f"{name} is in {section} twice", theirs[name], spots[name])
            else:
                known[name] = block
                spots[name] = theirs[name]

    def _extend(self, key: str, value: Plain, entry: Entry, first: Entry) -> None:
        if value is None:
            return
        known, spots, theirs = self._values[key], first.value.items, entry.value.items
        if known is None:
            self._adopt(key, value, entry)
        elif isinstance(value, list) and isinstance(known, list) and spots is not None and theirs is not None:
            known.extend(value)
            spots.extend(theirs)
        else:
            self._conflict("wrong-type", f"{key} is a list", entry, first)

    def _conflict(self, code: str, summary: str, entry: Entry, first: Entry) -> None:
        self._diagnostics.add(
            error(code, summary, detail=f"It is first at {first.range}.", hint="keep one of them", range=entry.range)
        )

    def _include(self, value: Plain, entry: Entry | None) -> None:
        if value is None or entry is None:
            return
        patterns = value if isinstance(value, list) else [value]
        spots = entry.value.items or [entry.value]
        for pattern, spot in zip(patterns, spots, strict=False):
            if not isinstance(pattern, str) or not pattern:
                self._diagnostics.add(error("wrong-type", "include takes paths and globs", range=spot.range))
                continue
            for name in self._included(pattern, spot.range):
                if name not in self._files:
                    self._add_file(name, spot.range)

    def _included(self, pattern: str, place: SourceRange) -> Iterator[str]:
        """The files that a path or a glob means, in order, relative to the project's folder."""
        relative = Path(pattern)
        is_glob = not _GLOB_CHARACTERS.isdisjoint(pattern)
        if relative.is_absolute():
            self._outside(pattern, place)
            return
        try:
            found = sorted(self._root.glob(pattern)) if is_glob else [self._root / relative]
        except (ValueError, NotImplementedError) as problem:
            self._diagnostics.add(error("invalid-value", f"{pattern} is not a glob: {problem}", range=place))
            return
        files = [path for path in found if os.path.isfile(path)]  # noqa: PTH113 - pathlib raises for impossible names
        if not files and is_glob:
            self._diagnostics.add(warning("include-matches-nothing", f"No file matches {pattern}", range=place))
        elif not files and not self._is_inside(found[0]):
            self._outside(pattern, place)
        elif not files:
            self._diagnostics.add(
                error(
                    "include-not-found",
                    f"There is no file {pattern}",
                    detail=f"It was looked for in {self._root}.",
                    hint="paths in include are relative to the project's folder",
                    range=place,
                )
            )
        for path in files:
            if self._is_inside(path):
                yield path.resolve().relative_to(self._root).as_posix()
            else:
                self._outside(pattern, place)

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._root)

    def _outside(self, pattern: str, place: SourceRange) -> None:
        self._diagnostics.add(
            error("outside-project", f"{pattern} is not inside the project", detail="Links are followed.", range=place)
        )


def _empty(name: str, included_at: SourceRange | None) -> Diagnostic:
    start = SourceRange(name, SourcePos(1, 1), SourcePos(1, 1))
    hint = (
        ""
        if included_at
        else "begin with apiVersion: nexus/v1 and project: NAME, or let «nexus init» write a first one"
    )
    return error("empty-manifest", f"The file {name} is empty", hint=hint, range=included_at or start)
