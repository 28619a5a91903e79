"""Documents behind a server that speaks Terraform's protocol for state: GET, POST, DELETE, LOCK and UNLOCK.

Each document is a state of its own to the server, at ``ADDRESS/ENVIRONMENT`` and, for the journal and for the sign of
life of who holds the lock, ``ADDRESS/ENVIRONMENT-…``. The protocol has no conditional writes: what is there is looked
at before it is replaced. In between, the server's locks keep others away, of the state and of the journal's first
document: both are taken and given back together, and the server refuses who does not name the one that is held. Nor
does it have locks that expire: the sign of life is a document beside them, dated by the server's clock.
"""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Final
from urllib.parse import quote

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores.base import LockInfo
from nexus.stores.failures import denied, refused
from nexus.stores.lock_messages import lost
from nexus.stores.remote import lease
from nexus.stores.remote.journal import JOURNAL
from nexus.stores.remote.lease import HeldError, Note
from nexus.stores.remote.objects import ConflictError, Steadfast, Stored, UnreachableError
from nexus.stores.remote.processes import has_ended
from nexus.stores.remote.states import STATE, VERSIONS

_TIMEOUT: Final = 15.0
_LEASE: Final = "lease"
_GUARDED: Final = (STATE, JOURNAL)
"""The documents that the server's own locks keep from others."""

_HELD: Final = (409, 423)
_NOT_NOW: Final = (408, 425, 429)


def open_web(place: Mapping[str, str], environment_name: str, environment: Mapping[str, str]) -> WebObjects:
    """Who we are comes from ``TF_HTTP_USERNAME`` and ``TF_HTTP_PASSWORD``, as it does for Terraform."""
    user, password = environment.get("TF_HTTP_USERNAME"), environment.get("TF_HTTP_PASSWORD")
    login = "" if user is None else base64.b64encode(f"{user}:{password or ''}".encode()).decode()
    server = WebServer(
        address=f"{place['address'].rstrip('/')}/{quote(environment_name, safe='')}",
        login=login,
        lock_suffix=place.get("lock_suffix", ""),
        update_method=place.get("update_method", "POST"),
        lock_method=place.get("lock_method", "LOCK"),
        unlock_method=place.get("unlock_method", "UNLOCK"),
    )
    return WebObjects(server)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WebServer:
    """Where one environment's documents are, and what the server calls what is done to them."""

    address: str
    login: str = ""
    lock_suffix: str = ""
    update_method: str = "POST"
    lock_method: str = "LOCK"
    unlock_method: str = "UNLOCK"

    def get(self, name: str) -> _Answer:
        return self._ask("GET", self._address_of(name))

    def post(self, name: str, content: bytes, lock_id: str = "") -> None:
        """Raises DiagnosticsError (``lock-lost``) when another one holds the lock."""
        query = f"?ID={lock_id}" if lock_id else ""
        answer = self._ask(self.update_method, f"{self._address_of(name)}{query}", content)
        if answer.status in _HELD:
            raise DiagnosticsError(lost(_holder_of(answer.body)))

    def delete(self, name: str) -> None:
        self._ask("DELETE", self._address_of(name))

    def lock(self, name: str, note: bytes) -> bytes | None:
        """What who holds it already has said; None where it is ours now."""
        answer = self._ask(self.lock_method, f"{self._address_of(name)}{self.lock_suffix}", note)
        return answer.body if answer.status in _HELD else None

    def unlock(self, name: str, note: bytes) -> None:
        self._ask(self.unlock_method, f"{self._address_of(name)}{self.lock_suffix}", note)

    def _address_of(self, name: str) -> str:
        return self.address if name == STATE else f"{self.address}-{name.replace('/', '-')}"

    def _ask(self, method: str, address: str, body: bytes | None = None) -> _Answer:
        headers = {} if body is None else {"Content-Type": "application/json"}
        # The manifest's schema allows http and https alone.
        request = urllib.request.Request(address, body, headers, method=method)  # noqa: S310
        if self.login:
            request.add_unredirected_header("Authorization", f"Basic {self.login}")
        try:
            return self._answer(request)
        except (OSError, HTTPException) as problem:
            reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
            raise UnreachableError(str(reason) or type(problem).__name__) from problem

    def _answer(self, request: urllib.request.Request) -> _Answer:
        """What the server says, whether it is success or not. The connection may end in the middle of either."""
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as found:  # noqa: S310
                return _Answer(found.status, found.read(), _date(found.headers.get("Date")))
        except urllib.error.HTTPError as problem:
            with problem:
                return self._judged(problem)

    def _judged(self, problem: urllib.error.HTTPError) -> _Answer:
        """An answer that is none of success, but has a meaning here."""
        status, said = problem.code, f"it answered {problem.code} {problem.reason}"
        if status == 404 or status in _HELD:
            return _Answer(status, problem.read(), _date(problem.headers.get("Date")))
        if status in (401, 403):
            raise DiagnosticsError(denied(self.address, said)) from problem
        if status >= 500 or status in _NOT_NOW:
            raise UnreachableError(said) from problem
        raise DiagnosticsError(refused(self.address, said)) from problem


class WebObjects:
    """See :class:`nexus.stores.remote.objects.Objects`. Older states are kept by the server, or not at all."""

    def __init__(self, server: WebServer) -> None:
        self.server = server
        self.lock_id = ""

    @property
    def place(self) -> str:
        return self.server.address

    def get(self, name: str) -> Stored | None:
        answer = self.server.get(name)
        found = answer.status == 200 and answer.body
        return Stored(answer.body, _version(answer.body)) if found else None

    def version(self, name: str) -> str | None:
        found = self.get(name)
        return None if found is None else found.version

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        if name.startswith(VERSIONS):
            return _version(content)
        there = self.get(name)
        if (None if there is None else there.version) != expected:
            raise ConflictError
        self.server.post(name, content, self.lock_id if name in _GUARDED else "")
        return _version(content)

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self.server.delete(name)

    def names(self, prefix: str) -> Sequence[str]:  # noqa: ARG002 - the protocol lists nothing
        return ()

    def age(self, name: str) -> float | None:  # noqa: ARG002 - nor does it tell when something was written
        return None


class WebBook:
    """The lock: the server's own ones, and the sign of life of who holds them in a document beside."""

    def __init__(self, objects: WebObjects, steadfast: Steadfast) -> None:
        self._objects = objects
        self._server = objects.server
        self._steadfast = steadfast

    def read(self) -> Stored | None:
        found = self._steadfast.get(_LEASE)
        return None if found is None else Stored(_note(found.content), found.version)

    def write(self, content: bytes, expected: str | None) -> str:
        there, now = self.read(), self._now()
        if (None if there is None else there.version) != expected:
            raise ConflictError
        before, after = None if there is None else lease.decode(there.content), lease.decode(content)
        is_ours = before is not None and before.held and before.info.id == after.info.id
        if after.held and not is_ours:
            self._lock(after, before, now)
        version = self._steadfast.put(_LEASE, _dated(content, now), expected)
        self._objects.lock_id = after.info.id if after.held else ""
        if not after.held:
            self._unlock(_lock_note(after, now))
        return version

    def age(self) -> float | None:
        found = self._steadfast.get(_LEASE)
        return None if found is None else (self._now() - _time_of(found.content, "at")).total_seconds()

    def hurried(self, patience: float) -> WebBook:
        return WebBook(self._objects, self._steadfast.hurried(patience))

    def _lock(self, after: Note, before: Note | None, now: datetime) -> None:
        """Take the server's locks, also from the holder ``before``, and from one that ended before its first sign.

        Raises HeldError when another one has them.
        """
        taken: list[str] = []
        try:
            for name in _GUARDED:
                self._lock_one(name, after, before, now)
                taken.append(name)
        except (HeldError, ConflictError):
            for name in taken:
                self._unlock_one(name, _lock_note(after, now))
            raise

    def _lock_one(self, name: str, after: Note, before: Note | None, now: datetime) -> None:
        for _ in range(3):
            body = self._steadfast.ask(lambda: self._server.lock(name, _lock_note(after, now)))
            if body is None:
                return
            holder = _holder_of(body)
            if holder.id == after.info.id:
                return  # the answer to an attempt before this one was lost
            if not (before is not None and holder.id == before.info.id) and not _is_orphan(body, now):
                raise HeldError(holder)
            self._unlock_one(name, body)
        raise ConflictError

    def _unlock(self, note: bytes) -> None:
        for name in reversed(_GUARDED):
            self._unlock_one(name, note)

    def _unlock_one(self, name: str, note: bytes) -> None:
        self._steadfast.ask(lambda: self._server.unlock(name, note))

    def _now(self) -> datetime:
        return self._steadfast.ask(lambda: self._server.get(_LEASE)).at


# ---- what is told to the server, and by it


def _lock_note(note: Note, now: datetime) -> bytes:
    """As Terraform writes it; ``Info`` is for us."""
    info = note.info
    return json.dumps(
        {
            "ID": info.id,
            "Operation": info.operation,
            "Info": note.encode().decode(),
            "Who": info.holder,
            "Version": "",
            "Created": now.isoformat(),
            "Path": "",
        }
    ).encode()


def _holder_of(body: bytes) -> LockInfo:
    data = _document(body)
    note = lease.decode(str(data.get("Info", "")).encode())
    return LockInfo(
        holder=str(data.get("Who") or "someone"),
        pid=note.info.pid,
        operation=str(data.get("Operation") or "apply"),
        since=str(data.get("Created") or ""),
        id=str(data.get("ID") or ""),
    )


def _is_orphan(body: bytes, now: datetime) -> bool:
    """Whether it is nexus' own, and its holder ended between taking the lock and its first sign of life."""
    note = lease.decode(str(_document(body).get("Info", "")).encode())
    if not note.info.id:
        return False
    return has_ended(note.process) or (now - _time_of(body, "Created")).total_seconds() > note.lease


def _dated(content: bytes, now: datetime) -> bytes:
    return json.dumps({"at": now.isoformat(), "note": json.loads(content)}).encode()


def _note(content: bytes) -> bytes:
    return json.dumps(_document(content).get("note")).encode()


def _time_of(content: bytes, name: str) -> datetime:
    try:
        return datetime.fromisoformat(str(_document(content).get(name)))
    except ValueError:
        return datetime.now(UTC)


def _document(content: bytes) -> dict[str, object]:
    try:
        data = json.loads(content)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _date(header: str | None) -> datetime:
    try:
        return parsedate_to_datetime(header or "")
    except ValueError:
        return datetime.now(UTC)
