"""From the manifest's word to the stores of one environment. The only place that knows which backends there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nexus.manifest import read_secret
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.schema.state_place import StatePlace
from nexus.stores.base import Backend
from nexus.stores.documents import SharedDocument
from nexus.stores.local import local_backend
from nexus.stores.remote.documents import RemoteDocument
from nexus.stores.remote.journal import RemoteJournal
from nexus.stores.remote.lease import LEASE, Book, LeaseLock, ObjectBook
from nexus.stores.remote.marks import PlacedLock, check_unmoved
from nexus.stores.remote.objects import PATIENCE, Objects, Steadfast
from nexus.stores.remote.states import RemoteStateStore, RemoteVersions

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


def open_backend(place: StatePlace, root: Path, environment: str, process: Mapping[str, str]) -> Backend:
    """The stores of one environment, where the manifest of the project at ``root`` says.

    Raises DiagnosticsError (``state-moved``) when they were elsewhere when this was last used, as does whoever takes
    the lock once they have been brought elsewhere.
    """
    backend = local_backend(root, environment)  # first: it refuses what can't be the name of an environment
    check_unmoved(place, root, environment)
    if not place.is_local:
        backend = remote_backend(place, root, environment, process)
    return replace(backend, lock=PlacedLock(backend.lock, place, root, environment))


def remote_backend(
    place: StatePlace,
    root: Path,
    environment: str,
    process: Mapping[str, str],
    *,
    patience: float = PATIENCE,
) -> Backend:
    """The stores of one environment at ``place``; what is learnt, and told of runs, stays in the project at ``root``.

    Touches no network until it is used. ``process`` is the environment that credentials and keys are in. Raises
    DiagnosticsError when something that is needed is not there.
    """
    objects, book = _opened(place, environment, process, patience)
    lock = LeaseLock(book, place.lease or LEASE)
    documents, local = _sealed(objects, _keys(place, root, process)), local_backend(root, environment)
    return _assembled(place, documents, lock, local)


def open_document(
    place: StatePlace, root: Path, environment: str, name: str, process: Mapping[str, str]
) -> SharedDocument | None:
    """A small document among those of one environment, sealed as they are; None where these are on this machine alone.

    Raises like :func:`remote_backend`.
    """
    if place.is_local:
        return None
    objects, _ = _opened(place, environment, process, PATIENCE)
    return RemoteDocument(_sealed(objects, _keys(place, root, process)), name)


def resealed(
    before: StatePlace, after: StatePlace, root: Path, environment: str, process: Mapping[str, str]
) -> tuple[Backend, Backend]:
    """The same documents twice, with one lock: read by the keys of ``before``, and written by those of ``after``.

    Both are the same place but for their keys. Raises like :func:`remote_backend`.
    """
    objects, book = _opened(after, environment, process, PATIENCE)
    lock, local = LeaseLock(book, after.lease or LEASE), local_backend(root, environment)
    first, second = (_sealed(objects, _keys(place, root, process)) for place in (before, after))
    return _assembled(before, first, lock, local), _assembled(after, second, lock, local)


def _assembled(place: StatePlace, documents: Objects, lock: LeaseLock, local: Backend) -> Backend:
    # Terraform's protocol knows of locks: who does not name the one that is held may not write.
    is_guarded = place.backend == "http"
    return Backend(
        RemoteStateStore(documents, is_guarded=is_guarded),
        RemoteJournal(documents, is_guarded=is_guarded),
        lock,
        local.durations,
        local.runs,
        RemoteVersions(documents),
    )


def _opened(place: StatePlace, environment: str, process: Mapping[str, str], patience: float) -> tuple[Objects, Book]:
    if place.backend == "http":
        from nexus.stores.remote.web import WebBook, open_web

        web = open_web(place.fields, environment, process)
        steadfast = Steadfast(web, patience)
        return steadfast, WebBook(web, steadfast)
    objects = Steadfast(_objects(place, environment), patience)
    return objects, ObjectBook(objects)


def _objects(place: StatePlace, environment: str) -> Objects:
    prefix = "/".join(part for part in (place.fields.get("prefix", "").strip("/"), environment) if part)
    try:
        match place.backend:
            case "postgres":
                from nexus.stores.remote.postgres import open_postgres

                return open_postgres(place.fields, prefix)
            case backend:
                from nexus.stores.remote import cloud

                return cloud.OPENERS[backend](place.fields, prefix)
    except ImportError as problem:
        raise DiagnosticsError(
            error(
                "state-library-missing",
                f"State in {place.backend} needs a library that is not installed",
                detail=f"There is no {problem.name}.",
                hint="pip install 'nexus-e2b[remote]'",
            )
        ) from problem


def _keys(place: StatePlace, root: Path, process: Mapping[str, str]) -> list[Fernet]:
    if not place.keys:
        return []
    from nexus.stores.remote.sealing import key_of

    texts = [(_called(source), read_secret(source, root, process, "state.encryption")) for source in place.keys]
    return [key_of(text, name) for name, text in texts]


def _called(source: Mapping[str, str]) -> str:
    return " ".join(f"{kind} {name}" for kind, name in source.items())


def _sealed(objects: Objects, keys: list[Fernet]) -> Objects:
    from nexus.stores.remote.sealing import OpenObjects, SealedObjects

    return SealedObjects(objects, keys) if keys else OpenObjects(objects)
