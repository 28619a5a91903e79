"""Documents as objects of S3, Google Cloud Storage or Azure, by conditional writes. The library is obstore.

Only its blocking functions are used: its asynchronous ones answer from threads of their own, which abort the process
when they do so while the interpreter ends. Who may do what is found where the clouds' own tools find it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores.failures import denied, no_such_place, refused
from nexus.stores.remote.objects import ConflictError, Stored, UnreachableError

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import AzureConfig, ClientConfig, RetryConfig, S3Config

Store = S3Store | GCSStore | AzureStore

_CLOCK: Final = "clock"
"""A document that is written to learn what time it is for the server."""

_STATUS: Final = re.compile(r"status code: (4\d\d)")
_REASON: Final = re.compile(r'message: "([^"]+)"')
_NO_PLACE: Final = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_EXPIRED: Final = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
"""What S3 says of credentials that were good once, with a status that is for everything."""

_WORTH_A_RETRY: Final = ("408", "409", "425", "429")
_LONGEST_MESSAGE: Final = 300


def _s3(place: Mapping[str, str], prefix: str) -> CloudObjects:
    config: S3Config = {}
    if "endpoint" in place:
        config["endpoint"] = place["endpoint"]
    if "region" in place:
        config["region"] = place["region"]
    bucket = place["bucket"]
    return CloudObjects(
        lambda: S3Store(bucket, prefix=prefix, config=config, client_options=_CLIENT, retry_config=_NO_RETRIES),
        f"s3://{bucket}/{prefix}",
    )


def _gcs(place: Mapping[str, str], prefix: str) -> CloudObjects:
    bucket = place["bucket"]
    return CloudObjects(
        lambda: GCSStore(bucket, prefix=prefix, client_options=_CLIENT, retry_config=_NO_RETRIES),
        f"gs://{bucket}/{prefix}",
    )


def _azure(place: Mapping[str, str], prefix: str) -> CloudObjects:
    config: AzureConfig = {"account_name": place["account"]}
    if "endpoint" in place:
        config["endpoint"] = place["endpoint"]
    container = place["container"]
    return CloudObjects(
        lambda: AzureStore(container, prefix=prefix, config=config, client_options=_CLIENT, retry_config=_NO_RETRIES),
        f"azure://{place['account']}/{container}/{prefix}",
    )


class CloudObjects:
    """See :class:`nexus.stores.remote.objects.Objects`."""

    def __init__(self, make: Callable[[], Store], place: str) -> None:
        """``make`` is called once; it may look for credentials."""
        self._place = place
        with self._explained():
            try:
                self._store = make()
            except ValueError as problem:
                raise DiagnosticsError(refused(place, _short(problem))) from problem

    @property
    def place(self) -> str:
        return self._place

    def get(self, name: str) -> Stored | None:
        with self._explained():
            try:
                found = obstore.get(self._store, name)
                meta = found.meta
                return Stored(bytes(found.bytes()), _version(meta["e_tag"], meta["version"]))
            except (FileNotFoundError, exceptions.NotFoundError) as problem:
                self._check_place(problem)
                return None

    def version(self, name: str) -> str | None:
        with self._explained():
            try:
                meta = obstore.head(self._store, name)
            except (FileNotFoundError, exceptions.NotFoundError):
                return None
        return _version(meta["e_tag"], meta["version"])

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        mode: PutMode = "create" if expected is None else json.loads(expected)
        with self._explained():
            try:
                done = obstore.put(self._store, name, content, mode=mode, use_multipart=False)
            except (FileNotFoundError, exceptions.NotFoundError) as problem:
                self._check_place(problem)
                raise ConflictError from problem
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as problem:
                raise ConflictError from problem
        return _version(done["e_tag"], done["version"])

    def remove(self, names: Sequence[str]) -> None:
        with self._explained():
            for name in names:
                try:
                    obstore.delete(self._store, name)
                except (FileNotFoundError, exceptions.NotFoundError):
                    continue

    def names(self, prefix: str) -> Sequence[str]:
        # The library only lists what lies in a folder, which it calls a prefix.
        folder = prefix.rpartition("/")[0]
        with self._explained():
            found = [str(meta["path"]) for batch in obstore.list(self._store, prefix=folder or None) for meta in batch]
        return sorted(path for path in found if path.startswith(prefix))

    def age(self, name: str) -> float | None:
        with self._explained():
            try:
                written = _modified(self._store, name)
                obstore.put(self._store, _CLOCK, b"{}", use_multipart=False)
                return (_modified(self._store, _CLOCK) - written).total_seconds()
            except (FileNotFoundError, exceptions.NotFoundError):
                return None

    def _check_place(self, problem: Exception) -> None:
        """What is not there may be all of it."""
        if any(text in str(problem) for text in _NO_PLACE):
            raise DiagnosticsError(no_such_place(self._place)) from problem

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (exceptions.UnauthenticatedError, exceptions.PermissionDeniedError) as problem:
            raise DiagnosticsError(denied(self._place, _short(problem))) from problem
        except exceptions.BaseError as problem:
            status = _STATUS.search(str(problem))
            expired = any(f"<Code>{code}</Code>" in str(problem) for code in _EXPIRED)
            if status is not None and (expired or status[1] in ("401", "403")):
                raise DiagnosticsError(denied(self._place, _short(problem))) from problem
            if status is not None and status[1] not in _WORTH_A_RETRY:
                raise DiagnosticsError(refused(self._place, _short(problem))) from problem
            raise UnreachableError(_short(problem)) from problem


_NO_RETRIES: Final[RetryConfig] = {"max_retries": 0, "retry_timeout": timedelta(seconds=30)}
_CLIENT: Final[ClientConfig] = {
    "timeout": timedelta(seconds=30),
    "connect_timeout": timedelta(seconds=5),
    # The clouds' own servers are asked by https; only who says so asks another one by http.
    "allow_http": True,
}


def _modified(store: Store, name: str) -> datetime:
    return obstore.head(store, name)["last_modified"]


def _version(e_tag: str | None, version: str | None) -> str:
    return json.dumps({name: text for name, text in (("e_tag", e_tag), ("version", version)) if text is not None})


def _short(problem: Exception) -> str:
    """The first line, and what the system said: all else is for the library's own people."""
    text = str(problem).strip().partition("\n")[0]
    if (reason := _REASON.search(str(problem))) is not None:
        text = f"{text} ({reason[1]})"
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


OPENERS: Final = {"s3": _s3, "gcs": _gcs, "azure": _azure}
"""By the name of the backend: the documents below a prefix, of the fields of the manifest."""
