from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus.schema.state_place import StatePlace
from nexus.stores import Backend, Memory, local_backend
from nexus.stores.remote.opening import remote_backend
from tests import npm, servers
from tests.gcs import GcsServer
from tests.servers import PostgresServer, S3Server, TerraformServer
from tests.stores.conformance import BackendConformance, RefusingLateWrites, RemoteConformance

KEYS = ({"env": "NEXUS_STATE_KEY"},)
KEY = {"NEXUS_STATE_KEY": base64.b64encode(os.urandom(32)).decode()}


class TestMemory(BackendConformance):
    @pytest.fixture
    def reopen(self) -> Callable[[], Backend]:
        return Memory().backend


class TestLocal(RefusingLateWrites):
    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Callable[[], Backend]:
        return lambda: local_backend(tmp_path, "prod")


class TestPostgres(RemoteConformance):
    @pytest.fixture
    def place(self, postgres: PostgresServer) -> StatePlace:
        return StatePlace(backend="postgres", fields=postgres.fields(prefix=uuid.uuid4().hex))

    @pytest.fixture
    def reopen(self, place: StatePlace, tmp_path: Path) -> Callable[[], Backend]:
        return lambda: remote_backend(place, tmp_path, "prod", KEY)


class TestS3(RemoteConformance):
    @pytest.fixture
    def place(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> StatePlace:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        return StatePlace(backend="s3", fields=s3.fields(prefix=uuid.uuid4().hex))

    @pytest.fixture
    def reopen(self, place: StatePlace, tmp_path: Path) -> Callable[[], Backend]:
        return lambda: remote_backend(place, tmp_path, "prod", KEY)


class TestGcs(RemoteConformance):
    """On a server of our own, which is written from Google's documentation."""

    @pytest.fixture
    def place(self, gcs: GcsServer) -> StatePlace:
        return StatePlace(backend="gcs", fields=gcs.fields(prefix=uuid.uuid4().hex))

    @pytest.fixture
    def reopen(self, place: StatePlace, tmp_path: Path) -> Callable[[], Backend]:
        return lambda: remote_backend(place, tmp_path, "prod", KEY)


@pytest.fixture(scope="module")
def azure() -> Iterator[dict[str, str]]:
    with servers.azure(npm.installed(Path(__file__).parent / "azurite")) as fields:
        yield fields


@pytest.mark.thorough
class TestAzure(RemoteConformance):
    @pytest.fixture
    def place(self, azure: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> StatePlace:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", servers.AZURE_KEY)
        return StatePlace(backend="azure", fields={**azure, "prefix": uuid.uuid4().hex})

    @pytest.fixture
    def reopen(self, place: StatePlace, tmp_path: Path) -> Callable[[], Backend]:
        return lambda: remote_backend(place, tmp_path, "prod", KEY)


class TestHttp(RemoteConformance):
    keeps_versions = False
    is_conditional = False

    @pytest.fixture
    def place(self, terraform: TerraformServer) -> StatePlace:
        return StatePlace(backend="http", fields={"address": terraform.address})

    @pytest.fixture
    def reopen(self, place: StatePlace, tmp_path: Path) -> Callable[[], Backend]:
        return lambda: remote_backend(place, tmp_path, "prod", KEY)


class TestHttpAsGitLabHasIt(TestHttp):
    @pytest.fixture
    def place(self, terraform: TerraformServer) -> StatePlace:
        ways = {"lock_suffix": "/lock", "lock_method": "POST", "unlock_method": "DELETE"}
        return StatePlace(backend="http", fields={"address": terraform.address, **ways})


class _Encrypted:
    """What is kept is the same; what the server sees is not."""

    @pytest.fixture
    def reopen(self, place: StatePlace, tmp_path: Path) -> Callable[[], Backend]:
        sealed = StatePlace(backend=place.backend, fields=place.fields, keys=KEYS)
        return lambda: remote_backend(sealed, tmp_path, "prod", KEY)


class TestEncryptedPostgres(_Encrypted, TestPostgres):
    pass


class TestEncryptedS3(_Encrypted, TestS3):
    pass


class TestEncryptedHttp(_Encrypted, TestHttp):
    pass
