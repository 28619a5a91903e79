"""A resource under test: it turns fields of a manifest into the calls that the executor would make."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus.kinds.base import Normalising
from nexus.kinds.registry import KINDS
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.model.diagnostics import Diagnostics
from nexus.model.resources import ResourceSpec
from nexus.model.state import FileEntry, ResourceRecord, Tree, tree_digest
from nexus.model.values import Attributes, Sensitive, conceal, digest, fingerprinter, reveal
from nexus.providers.base import Call, Provider, Result

fingerprint = fingerprinter(b"tests")
PROJECT = "suite"
ENVIRONMENT = "default"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class MemoryFiles:
    """Files of a project that was never on a disk. ``folders`` are trees by source, as contents by path."""

    folders: dict[str, dict[str, bytes]] = field(default_factory=dict)
    contents: dict[str, dict[str, bytes]] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)

    def text(self, path: str) -> str:
        raise FileNotFoundError(path)

    def tree(self, source: str, exclude: Any = (), *, mode: int | None = None) -> tuple[str, Tree]:
        return self._remember(
            {path: (content, mode or self.modes.get(path, 0o644)) for path, content in self.folders[source].items()}
        )

    def inline(self, content: str | bytes, mode: int, *, sensitive: bool = False) -> tuple[str, Tree]:
        return self._remember({"": (content.encode() if isinstance(content, str) else content, mode)}, keyed=sensitive)

    def content(self, digest: str, path: str) -> Iterator[bytes]:
        yield self.contents[digest][path]

    def _remember(self, files: Mapping[str, tuple[bytes, int]], *, keyed: bool = False) -> tuple[str, Tree]:
        tree = {
            path: FileEntry(sha(b"key" + content), mode, 0) if keyed else FileEntry(sha(content), mode, len(content))
            for path, (content, mode) in files.items()
        }
        name = tree_digest(tree)
        self.contents[name] = {path: content for path, (content, _) in files.items()}
        return name, tree


class RecordingReport:
    """Keeps what a call reports."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.lines: list[tuple[str, str]] = []
        self._news = asyncio.Event()

    def progress(self, message: str) -> None:
        self.messages.append(message)

    def log(self, stream: str, text: str) -> None:
        self.lines.append((stream, text))
        self._news.set()

    async def until(self, line: tuple[str, str], seconds: float = 60) -> None:
        """Wait until ``line`` is reported."""
        async with asyncio.timeout(seconds):
            while line not in self.lines:
                self._news.clear()
                await self._news.wait()

    @property
    def text(self) -> str:
        return "\n".join([*self.messages, *(text for _, text in self.lines)])


@dataclass
class Subject:
    """One resource: ``declare`` says what it should be, ``do`` makes one operation and keeps the record."""

    provider: Provider
    address: Address
    files: MemoryFiles = field(default_factory=MemoryFiles)
    project: str = PROJECT
    record: ResourceRecord | None = None
    report: RecordingReport = field(default_factory=RecordingReport)
    trees: dict[str, Tree] = field(default_factory=dict)
    uid: str = field(default_factory=lambda: secrets.token_hex(8))
    attributes: Attributes = field(default_factory=dict)
    concealed: Attributes = field(default_factory=dict)
    others: dict[Address, ResourceRecord] = field(default_factory=dict)

    def declare(self, **fields: Any) -> Subject:
        """Take these fields as the block of the manifest. Sandboxes are made from a template that every engine has."""
        kind = KINDS[self.address.kind]
        if kind.name == "sandbox":
            fields.setdefault("template", "base:default")
        context = Normalising(
            spec=ResourceSpec(address=self.address, attributes={}),
            files=self.files,
            project=self.project,
            environment=ENVIRONMENT,
            diagnostics=Diagnostics(),
            fingerprint=fingerprint,
        )
        self.attributes = kind.normalise(fields, context)
        context.diagnostics.raise_if_errors()
        self.trees.update(context.trees)
        self.concealed = {name: conceal(value, fingerprint) for name, value in self.attributes.items()}
        return self

    def call(self, verb: Verb, unit: str = "", *, key: str | None = None) -> Call:
        kind = KINDS[self.address.kind]
        units = kind.units(self.concealed)
        revealed = {name: reveal(value) for name, value in self.attributes.items()}
        return Call(
            operation=Operation(id="op", verb=verb, address=self.address, unit=unit, uid=self.uid),
            key=key or secrets.token_hex(16),
            uid=self.uid,
            project=self.project,
            environment=ENVIRONMENT,
            report=self.report,
            files=self.files,
            upstream=self.others.get,
            spec=kind.decode(revealed) if revealed else None,
            attributes=self.concealed,
            units=units,
            record=self.record,
            trees=self.trees,
            prior_trees=self.trees,
        )

    async def do(self, verb: Verb, unit: str = "", *, key: str | None = None) -> Result:
        result = await self.provider.execute(self.call(verb, unit, key=key))
        self.record = result.record
        return result

    async def bring_up(self) -> ResourceRecord:
        """Create, arm, and every unit that the create has not done, in order."""
        await self.do(Verb.CREATE)
        await self.do(Verb.ARM)
        return await self.set_up()

    async def set_up(self) -> ResourceRecord:
        """Every wanted unit that the record does not have yet."""
        assert self.record is not None
        for unit in KINDS[self.address.kind].units(self.concealed):
            if self.record.setup.get(unit.name) != unit.digest:
                await self.do(unit.verb, unit.name)
        return self.record


def secret(value: str) -> Sensitive:
    return Sensitive(value)


__all__ = ["ENVIRONMENT", "PROJECT", "MemoryFiles", "RecordingReport", "Subject", "digest", "secret"]
