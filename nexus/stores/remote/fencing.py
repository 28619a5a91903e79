"""A document that is replaced only by who fenced it last: how a lock on a server holds for those who lost it, too.

A holder may be suspended for longer than its lease, at the very moment between its last look at the lock and a write.
So whoever takes the lock changes the document, whatever is in it, and remembers its new version: from then on each
replaces only the version that it has made itself, and what a former holder writes late is refused by the server. Where
nothing is, a placeholder is put, which says so: what is not there yet is fenced as well, and what was removed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Final

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores.failures import is_unreadable
from nexus.stores.remote.objects import ConflictError, Objects, Stored

_PLACEHOLDER: Final = b'{"nothing_is_here":'


def is_placeholder(content: bytes) -> bool:
    """Whether it stands for nothing. It tells nothing either, and so is not encrypted."""
    return content.startswith(_PLACEHOLDER)


def new_fence() -> str:
    """What makes a content one that there never was."""
    return uuid.uuid4().hex


class Fenced:
    """One document. Until it is fenced, as by who only reads, it is replaced as it was found. Blocks."""

    def __init__(self, objects: Objects, name: str) -> None:
        self._objects = objects
        self._name = name
        self._is_fenced = False
        self._version: str | None = None

    def get(self) -> Stored | None:
        """As it was last written. Its content is empty where it is a placeholder."""
        there = self._objects.get(self._name)
        return Stored(b"", there.version) if there is not None and is_placeholder(there.content) else there

    def fence(self, changed: Callable[[bytes, str], bytes]) -> None:
        """Put ``changed`` in place of a content: the same, with that fence in it. What is damaged is left as it is."""
        while True:
            version, content = self._look(changed)
            try:
                self._version = version if content is None else self._objects.put(self._name, content, version)
            except ConflictError:
                continue  # the former holder was faster by one write: that is to be kept
            self._is_fenced = True
            return

    def empty(self, there: str | None) -> str:
        """Leave a placeholder of it. Like :meth:`put`."""
        return self.put(_placeholder(), there)

    def put(self, content: bytes, there: str | None) -> str:
        """Replace it. ``there`` is the version that was found. Raises ConflictError when it is not ours any more."""
        version = self._objects.put(self._name, content, self._version if self._is_fenced else there)
        self._version = version
        return version

    def overwrite(self, content: bytes) -> str:
        """Replace it, whatever is there: for who knows that it may be. Like :meth:`put`."""
        return self.put(content, None if self._is_fenced else self._objects.version(self._name))

    def is_ours(self, there: str | None) -> bool:
        """Whether that version may be replaced: nobody has fenced it, or written it, since we did."""
        return not self._is_fenced or there == self._version

    def _look(self, changed: Callable[[bytes, str], bytes]) -> tuple[str | None, bytes | None]:
        """Its version, and what to put in its place; None where it can't be made sense of."""
        try:
            there = self.get()
            if there is None or not there.content:
                return (None if there is None else there.version), _placeholder()
            return there.version, changed(there.content, new_fence())
        except DiagnosticsError as problem:
            if not is_unreadable(problem):
                raise
            return self._objects.version(self._name), None


def _placeholder() -> bytes:
    return _PLACEHOLDER + json.dumps(new_fence()).encode() + b"}\n"
