"""Requests that are made to hurt: ids that are paths, bodies without end, names that lead elsewhere, missing tokens."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import uuid
from pathlib import Path

import httpx
import pytest
from e2b import Sandbox

from nexus.local.builds.archives import ArchiveStore
from nexus.local.control_plane.bodies import MAX_BODY
from nexus.local.daemon import Endpoint
from nexus.local.errors import TooLargeError
from nexus.local.storage.space import DiskLimits, DiskSpace
from tests.local.engine_client import rest, sdk
from tests.local.waiting import wait_until

_PATHS = ("%2e%2e%2f", "..%2f..%2fengine.json", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a%00b", "-", "%2f", "x" * 5000)


@pytest.mark.engine
@pytest.mark.parametrize("where", ["/sandboxes/{}", "/templates/{}", "/volumes/{}", "/templates/base/files/{}"])
def test_ids_that_are_paths_lead_nowhere(engine: Endpoint, where: str) -> None:
    with rest(engine) as client:
        for path in _PATHS:
            answer = client.get(where.format(path))
            assert answer.status_code in (400, 404, 405, 414, 431), (path, answer.text)
            assert engine.api_key not in answer.text
            assert client.delete(where.format(path)).status_code in (400, 404, 405, 414, 431)
        assert client.get("/sandboxes").status_code == 200


@pytest.mark.engine
def test_names_that_are_paths_are_refused(engine: Endpoint) -> None:
    with rest(engine) as client:
        for name in ("../x", "a/../../b", "/etc/passwd", "a\u0000b", ".", "x" * 1000):
            assert client.post("/v3/templates", json={"name": name}).status_code == 400, name
            assert client.post("/volumes", json={"name": name}).status_code == 400, name
        mounts = [{"name": "nothing", "path": path} for path in ("/../etc", "relative", "/")]
        body = {"templateID": "base", "volumeMounts": mounts}
        assert client.post("/v2/sandboxes", json=body).status_code == 400


@pytest.mark.engine
def test_bodies_are_bounded(engine: Endpoint) -> None:
    with rest(engine) as client:
        answer = client.post("/v2/sandboxes", content=b'{"templateID": "' + b"x" * MAX_BODY + b'"}')
        assert (answer.status_code, answer.json()["code"]) == (413, 413)
        # The answer may be lost: the server closes a connection whose headers it has not read.
        with contextlib.suppress(httpx.TransportError):
            assert client.get("/health", headers={"X-Large": "x" * 2_000_000}).status_code in (400, 431)
        assert client.get("/health").status_code == 204


async def test_archives_are_bounded(tmp_path: Path) -> None:
    async def endless():
        while True:
            yield b"x" * 65536

    store = ArchiveStore(tmp_path, DiskSpace(tmp_path, (), DiskLimits()), limit=1 << 20)
    store.open()
    with pytest.raises(TooLargeError):
        await store.store("0" * 64, endless())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.engine
@pytest.mark.parametrize("body", [b"\x00\xc8\xdd\xec", b"\xff\xfe{\x00", b"\x80", b"{", b"[]", b"null"])
def test_what_is_no_json_is_refused_inside_a_machine_too(clean_sandbox: Sandbox, engine: Endpoint, body: bytes) -> None:
    """A machine has no files of Python's: a codec that was not loaded before can't be loaded for a stranger's bytes."""
    token = str(clean_sandbox._envd_access_token)
    headers = {"E2b-Sandbox-Id": clean_sandbox.sandbox_id, "E2b-Sandbox-Port": "49983", "X-Access-Token": token}
    with httpx.Client(base_url=engine.sandbox_url, headers=headers) as client:
        for path in ("/files/compose", "/process.Process/List", "/filesystem.Filesystem/Stat"):
            answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, (path, answer.text)
            assert answer.json()["code"] in (400, "invalid_argument")


@pytest.mark.engine
def test_envd_and_ports_ask_for_their_tokens(clean_sandbox: Sandbox, engine: Endpoint) -> None:
    headers = {"E2b-Sandbox-Id": clean_sandbox.sandbox_id, "E2b-Sandbox-Port": "49983"}
    with httpx.Client(base_url=engine.sandbox_url, headers=headers) as client:
        for shown in ({}, {"X-Access-Token": "wrong"}, {"X-Access-Token": engine.api_key}):
            for method, path in (
                ("POST", "/process.Process/List"),
                ("POST", "/filesystem.Filesystem/ListDir"),
                ("GET", "/files?path=/etc/passwd"),
                ("POST", "/files?path=/tmp/x"),
                ("GET", "/envs"),
                ("GET", "/metrics"),
            ):
                answer = client.request(method, path, headers=shown, json={})
                assert answer.status_code == 401, (method, path, shown)
        for path in ("/init", "/logs", "/%69nit"):
            assert client.post(path, json={}).status_code == 404
        forged = "/files?path=/etc/passwd&signature=v1_x&signature_expiration=99999999999"
        assert client.get(forged).status_code == 401


@pytest.mark.engine
def test_links_are_followed_inside_only(clean_sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("host")
    run = clean_sandbox.commands.run
    run(f"ln -s {secret} file; ln -s {tmp_path} folder; ln -s / root")
    for path in ("file", "folder/secret", f"root{secret}", f"/proc/1/root{secret}", f"../../../../..{secret}"):
        with pytest.raises(Exception, match=r"(?i)not|denied|exist"):
            clean_sandbox.files.read(path)
    with pytest.raises(Exception, match=r"(?i)not|denied|exist"):
        clean_sandbox.files.write("folder/new", "inside")
    clean_sandbox.files.write("root/tmp/new", "inside")
    assert run("cat /tmp/new").stdout == "inside"
    assert list(tmp_path.iterdir()) == [secret]


@pytest.mark.engine
def test_archives_of_a_build_cannot_leave_it(engine: Endpoint, tmp_path: Path) -> None:
    host_file = tmp_path / "made-by-a-build"
    archive = _hostile_archive(str(host_file))
    files_hash = hashlib.sha256(archive).hexdigest()
    name = f"hostile-{uuid.uuid4().hex[:8]}"
    with rest(engine) as client:
        made = client.post("/v3/templates", json={"name": name}).json()
        template, build = made["templateID"], made["buildID"]
        link = client.get(f"/templates/{template}/files/{files_hash}").json()["url"]
        assert httpx.put(link, content=archive).status_code == 200
        steps = [{"type": "COPY", "args": ["inner", "/app/", "", ""], "filesHash": files_hash, "force": True}]
        body = {"fromImage": "e2bdev/base", "steps": steps}
        assert client.post(f"/v2/templates/{template}/builds/{build}", json=body).status_code == 202

        def status() -> str:
            return str(client.get(f"/templates/{template}/builds/{build}/status").json()["status"])

        wait_until(lambda: status() in ("ready", "error"), "the build ends", limit=60)
        client.delete(f"/templates/{template}")
    assert not host_file.exists()
    assert not Path("/etc/nexus-hostile").exists()


@pytest.mark.engine
def test_links_in_a_volume_mean_nothing_to_the_host(engine: Endpoint, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("host")
    with rest(engine) as client:
        volume = client.post("/volumes", json={"name": f"v{uuid.uuid4().hex[:8]}"}).json()
        body = {"templateID": "base", "volumeMounts": [{"name": volume["name"], "path": "/data"}]}
        made = client.post("/v2/sandboxes", json=body).json()
        sandbox = Sandbox.connect(made["sandboxID"], **sdk(engine))
        sandbox.commands.run(f"ln -s {kept} /data/link; ln -s {kept}/file /data/file", user="root")
        assert client.get(f"/sandboxes/{sandbox.sandbox_id}/metrics").status_code == 200
        client.delete(f"/sandboxes/{sandbox.sandbox_id}")
        assert client.delete(f"/volumes/{volume['volumeID']}").status_code == 204
    assert (kept / "file").read_text() == "host"


def _hostile_archive(host_file: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:

        def add(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(b"evil") if entry.size else None)

        add("inner/file")
        add(host_file)
        add("../" * 12 + host_file.lstrip("/"))
        add("../" * 12 + "etc/nexus-hostile")
        add("inner/etc", tarfile.SYMTYPE, "/etc")
        add("inner/etc/nexus-hostile")
        add("inner/hard", tarfile.LNKTYPE, host_file)
        add("inner/device", tarfile.BLKTYPE)
    return buffer.getvalue()
