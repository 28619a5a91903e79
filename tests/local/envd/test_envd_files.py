"""Files through the official SDK and, where the SDK hides something, over plain HTTP."""

from __future__ import annotations

import asyncio
import gzip
import io
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from e2b import (
    AsyncSandbox,
    AuthenticationException,
    FileNotFoundException,
    FileType,
    InvalidArgumentException,
    NotFoundException,
    Sandbox,
    SandboxException,
)
from e2b.sandbox.filesystem.watch_handle import FilesystemEventType

from tests.local.envd.harness import Cloud

CREATE, WRITE, REMOVE, RENAME, CHMOD = (
    FilesystemEventType.CREATE,
    FilesystemEventType.WRITE,
    FilesystemEventType.REMOVE,
    FilesystemEventType.RENAME,
    FilesystemEventType.CHMOD,
)
_numbers = itertools.count()
root_only = pytest.mark.skipif(os.getuid() != 0, reason="changing owners needs root")


@pytest.fixture
def folder(cloud: Cloud) -> Path:
    path = cloud.home / f"folder {next(_numbers)}"
    path.mkdir()
    return path


@pytest.fixture
def http(cloud: Cloud) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cloud.url, headers=cloud.headers() | {"Accept-Encoding": "identity"}) as client:
        yield client


@pytest.mark.parametrize("octets", [True, False])
@pytest.mark.parametrize("data", ["text – ünï", b"\x00\xff\r\n--b\r\n", b""])
def test_what_is_written_can_be_read_back(sandbox: Sandbox, folder: Path, data: str | bytes, octets: bool) -> None:
    path = f"{folder}/deep/er/file"
    info = sandbox.files.write(path, data, use_octet_stream=octets)
    raw = data.encode() if isinstance(data, str) else data
    assert (info.name, info.path, info.type) == ("file", path, FileType.FILE)
    assert bytes(sandbox.files.read(path, format="bytes")) == raw
    assert Path(path).read_bytes() == raw


def test_files_travel_packed_when_asked(sandbox: Sandbox, folder: Path, http: httpx.Client) -> None:
    sandbox.files.write(f"{folder}/packed", "x" * 100_000, gzip=True)
    assert sandbox.files.read(f"{folder}/packed", gzip=True) == "x" * 100_000
    answer = http.get("/files", params={"path": f"{folder}/packed"}, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"


def test_a_broken_packed_body_is_refused(http: httpx.Client, folder: Path) -> None:
    packed = gzip.compress(b"x" * 1000)[:-12]
    headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    answer = http.post("/files", params={"path": f"{folder}/x"}, content=packed, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


def test_many_files_are_written_in_one_call_and_answered_in_order(sandbox: Sandbox, folder: Path) -> None:
    entries = [{"path": f"{folder}/{number}", "data": str(number) * 50_000} for number in range(5)]
    infos = sandbox.files.write_files(entries)
    assert [info.path for info in infos] == [entry["path"] for entry in entries]
    assert Path(f"{folder}/4").read_text() == "4" * 50_000


def test_the_same_path_twice_in_one_call_is_refused(sandbox: Sandbox, folder: Path) -> None:
    with pytest.raises(InvalidArgumentException, match="multiple files to the same path"):
        sandbox.files.write_files([{"path": f"{folder}/a", "data": "1"}, {"path": f"{folder}/./a", "data": "2"}])


def test_a_part_without_a_filename_takes_the_path_of_the_query(http: httpx.Client, folder: Path) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert http.post("/files", params={"path": f"{folder}/f"}, content=body, headers=headers).status_code == 200
    assert (folder / "f").read_text() == "hello"
    cut = http.post("/files", params={"path": f"{folder}/f"}, content=body[:-8], headers=headers)
    assert cut.status_code == 400


def test_an_overwritten_file_keeps_its_mode(sandbox: Sandbox, folder: Path) -> None:
    (folder / "script").write_text("old and long")
    (folder / "script").chmod(0o750)
    sandbox.files.write(f"{folder}/script", "new")
    assert (folder / "script").read_text() == "new"
    assert (folder / "script").stat().st_mode & 0o777 == 0o750


@root_only
def test_new_files_and_their_parents_belong_to_the_user(sandbox: Sandbox, folder: Path) -> None:
    sandbox.files.write(f"{folder}/sub/file", "x", user="other")
    sandbox.files.make_dir(f"{folder}/made/deep", user="other")
    for name in ("sub", "sub/file", "made", "made/deep"):
        status = (folder / name).stat()
        assert (status.st_uid, status.st_gid) == (4242, 4243)
    info = sandbox.files.get_info(f"{folder}/sub/file")
    assert (info.owner, info.group, info.permissions, info.mode) == ("other", "other", "-rw-r--r--", 0o644)


def test_relative_paths_and_tilde_start_at_home(cloud: Cloud, sandbox: Sandbox, folder: Path) -> None:
    sandbox.files.write(f"{folder.name}/rel", "1")
    assert sandbox.files.read(f"~/{folder.name}/rel") == "1"
    assert sandbox.files.get_info(f"{folder.name}/rel").path == f"{folder}/rel"


def test_errors_of_downloads_and_uploads(sandbox: Sandbox, folder: Path) -> None:
    with pytest.raises(FileNotFoundException, match=f"path '{folder}/none' does not exist"):
        sandbox.files.read(f"{folder}/none")
    with pytest.raises(InvalidArgumentException, match="is a directory"):
        sandbox.files.read(str(folder))
    with pytest.raises(InvalidArgumentException, match="is a directory"):
        sandbox.files.write(str(folder), "x")
    with pytest.raises(AuthenticationException, match="unknown user ghost"):
        sandbox.files.read(f"{folder}/none", user="ghost")
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.read(f"{folder}/pipe")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.write(f"{folder}/pipe", "x")


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=10-", 416, b""),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
    ],
)
def test_ranges(http: httpx.Client, folder: Path, asked: str, status: int, content: bytes) -> None:
    (folder / "digits").write_bytes(b"0123456789")
    answer = http.get("/files", params={"path": f"{folder}/digits"}, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, content)


def test_an_unchanged_file_is_not_sent_again(http: httpx.Client, folder: Path) -> None:
    (folder / "page.html").write_text("<p>")
    first = http.get("/files", params={"path": f"{folder}/page.html"})
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert first.headers["content-disposition"] == "inline; filename=page.html"
    since = {"If-Modified-Since": first.headers["last-modified"]}
    assert http.get("/files", params={"path": f"{folder}/page.html"}, headers=since).status_code == 304


def test_files_of_proc_have_content(sandbox: Sandbox) -> None:
    assert "MemTotal" in sandbox.files.read("/proc/meminfo")


def test_metadata_is_stored_replaced_and_follows_a_rename(sandbox: Sandbox, folder: Path) -> None:
    path = f"{folder}/file"
    assert sandbox.files.write(path, "1", metadata={"Author": "me", "k": "v"}).metadata == {"author": "me", "k": "v"}
    assert sandbox.files.rename(path, f"{folder}/moved").metadata == {"author": "me", "k": "v"}
    assert sandbox.files.list(str(folder))[0].metadata == {"author": "me", "k": "v"}
    sandbox.files.write(f"{folder}/moved", "2", metadata={"only": "this"})
    assert sandbox.files.get_info(f"{folder}/moved").metadata == {"only": "this"}
    sandbox.files.write(f"{folder}/moved", "3")
    assert not sandbox.files.get_info(f"{folder}/moved").metadata


def test_metadata_beyond_its_limits_is_refused(http: httpx.Client, folder: Path) -> None:
    headers = {"Content-Type": "application/octet-stream", "X-Metadata-k": "v" * 5000}
    answer = http.post("/files", params={"path": f"{folder}/f"}, content=b"x", headers=headers)
    assert (answer.status_code, (folder / "f").exists()) == (400, False)


def test_listing_is_in_order_with_parents_first(sandbox: Sandbox, folder: Path) -> None:
    for name in ("b/one", "b/two/deep", "a", "c"):
        sandbox.files.write(f"{folder}/{name}", "x")
    assert [entry.name for entry in sandbox.files.list(str(folder))] == ["a", "b", "c"]
    names = [entry.path.removeprefix(f"{folder}/") for entry in sandbox.files.list(str(folder), depth=2)]
    assert names == ["a", "b", "b/one", "b/two", "c"]
    with pytest.raises(FileNotFoundException):
        sandbox.files.list(f"{folder}/none")
    with pytest.raises(InvalidArgumentException, match="is not a directory"):
        sandbox.files.list(f"{folder}/a")


def test_a_link_has_the_type_and_mode_of_its_target_and_says_where_it_leads(sandbox: Sandbox, folder: Path) -> None:
    (folder / "target").mkdir()
    (folder / "target").chmod(0o750)
    (folder / "link").symlink_to("target")
    info = sandbox.files.get_info(f"{folder}/link")
    assert (info.type, info.mode, info.symlink_target) == (FileType.DIR, 0o750, f"{folder.resolve()}/target")
    assert info.permissions == "Lrwxrwxrwx"
    assert sandbox.files.list(f"{folder}/link") == []
    target = sandbox.files.get_info(f"{folder}/target")
    assert (target.permissions, target.symlink_target) == ("drwxr-x---", None)


def test_a_link_that_leads_nowhere_shows_itself(http: httpx.Client, folder: Path) -> None:
    (folder / "link").symlink_to("none")
    answer = http.post("/filesystem.Filesystem/Stat", json={"path": f"{folder}/link"})
    entry = answer.json()["entry"]
    assert (entry["symlinkTarget"], entry.get("type"), entry.get("mode")) == (f"{folder}/link", None, None)


def test_directories_are_made_once(sandbox: Sandbox, folder: Path) -> None:
    assert sandbox.files.make_dir(f"{folder}/x/y") is True
    assert sandbox.files.make_dir(f"{folder}/x/y") is False
    (folder / "file").touch()
    with pytest.raises(InvalidArgumentException, match="not a directory"):
        sandbox.files.make_dir(f"{folder}/file")


def test_moving_makes_parents_and_replaces_files(sandbox: Sandbox, folder: Path) -> None:
    (folder / "a").write_text("a")
    (folder / "b").write_text("b")
    sandbox.files.rename(f"{folder}/a", f"{folder}/new/place")
    sandbox.files.rename(f"{folder}/b", f"{folder}/new/place")
    assert (folder / "new/place").read_text() == "b"
    with pytest.raises(NotFoundException):
        sandbox.files.rename(f"{folder}/a", f"{folder}/c")


def test_removing_is_recursive_spares_link_targets_and_minds_nothing_missing(sandbox: Sandbox, folder: Path) -> None:
    sandbox.files.write(f"{folder}/tree/deep/file", "x")
    (folder / "kept").mkdir()
    (folder / "kept/file").touch()
    (folder / "tree/link").symlink_to(folder / "kept")
    sandbox.files.remove(f"{folder}/tree")
    sandbox.files.remove(f"{folder}/tree")
    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert (folder / "kept/file").exists()


def test_composing_joins_and_removes_the_sources(http: httpx.Client, folder: Path) -> None:
    for name in ("1", "2"):
        (folder / name).write_text(name)
    wish = {"source_paths": [f"{folder}/1", f"{folder}/2"], "destination": f"{folder}/sub/whole"}
    assert http.post("/files/compose", json=wish).json()["name"] == "whole"
    assert (folder / "sub/whole").read_text() == "12"
    assert sorted(path.name for path in folder.iterdir()) == ["sub"]
    assert http.post("/files/compose", json=wish).status_code == 404


def test_large_files_stream_both_ways_in_bounded_memory(cloud: Cloud, sandbox: Sandbox, folder: Path) -> None:
    size = 100_000_000
    with open("/dev/zero", "rb") as zeros:
        sandbox.files.write(f"{folder}/big", io.BytesIO(zeros.read(size)))
    assert (folder / "big").stat().st_size == size
    with sandbox.files.read(f"{folder}/big", format="stream") as stream:
        assert sum(len(piece) for piece in stream) == size
    (folder / "big").unlink()
    status = Path(f"/proc/{cloud.pids['ibox']}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 120_000


def test_signed_urls_need_no_headers(sandbox: Sandbox, folder: Path) -> None:
    upload = sandbox.upload_url(f"{folder}/signed")
    assert httpx.post(upload, files={"file": ("signed", b"content")}).status_code == 200
    assert httpx.get(sandbox.download_url(f"{folder}/signed")).text == "content"
    assert httpx.get(sandbox.download_url(f"{folder}/signed", use_signature_expiration=60)).text == "content"


def test_an_expired_signature_says_so(sandbox: Sandbox, folder: Path) -> None:
    (folder / "f").touch()
    answer = httpx.get(sandbox.download_url(f"{folder}/f", use_signature_expiration=-10))
    assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "signature is already expired"})


def test_wrong_and_missing_signatures_are_told_apart(cloud: Cloud, sandbox: Sandbox, folder: Path) -> None:
    address = {name: value for name, value in cloud.headers().items() if name != "X-Access-Token"}
    signed = httpx.URL(sandbox.download_url(f"{folder}/f"))
    forged = httpx.get(signed.copy_set_param("path", "/etc/passwd"), headers=address)
    assert (forged.status_code, forged.json()["message"]) == (401, "invalid signature")
    bare = httpx.get(f"{cloud.url}/files", params={"path": "/etc/passwd"}, headers=address)
    assert (bare.status_code, bare.json()["message"]) == (401, "missing signature query parameter")
    wrong = httpx.get(signed, headers=address | {"X-Access-Token": "no"})
    assert wrong.json()["message"] == "access token present in header but does not match"


def test_a_new_upload_is_three_events(sandbox: Sandbox, folder: Path) -> None:
    watcher = sandbox.files.watch_dir(str(folder))
    sandbox.files.write(f"{folder}/file", "content")
    assert [(event.type, event.name) for event in _events(watcher, 3)] == [
        (CREATE, "file"),
        (CHMOD, "file"),
        (WRITE, "file"),
    ]
    watcher.stop()


def test_renames_and_removals_are_seen(sandbox: Sandbox, folder: Path) -> None:
    (folder / "old").touch()
    watcher = sandbox.files.watch_dir(str(folder))
    (folder / "old").rename(folder / "new")
    (folder / "new").unlink()
    assert [(event.type, event.name) for event in _events(watcher, 3)] == [
        (RENAME, "old"),
        (CREATE, "new"),
        (REMOVE, "new"),
    ]
    watcher.stop()


def test_a_recursive_watch_follows_new_moved_and_lost_directories(sandbox: Sandbox, folder: Path) -> None:
    watcher = sandbox.files.watch_dir(str(folder), recursive=True, include_entry=True)
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/b/c/early").touch()
    _until_seen(watcher, (CREATE, "a"), (CREATE, "a/b"), (CREATE, "a/b/c"), (CREATE, "a/b/c/early"))
    (folder / "a/b").rename(folder / "moved")
    (folder / "moved/c/late").write_text("x")
    _until_seen(watcher, (RENAME, "a/b"), (CREATE, "moved"), (CREATE, "moved/c/late"))
    watcher.stop()


def test_events_carry_entries_when_asked(sandbox: Sandbox, folder: Path) -> None:
    watcher = sandbox.files.watch_dir(str(folder), include_entry=True)
    sandbox.files.write(f"{folder}/file", "content")
    event = next(event for event in _events(watcher, 3) if event.type is WRITE)
    assert event.entry is not None
    assert (event.entry.path, event.entry.size) == (f"{folder}/file", 7)
    watcher.stop()


def test_watching_what_is_not_a_directory_fails(sandbox: Sandbox, folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(NotFoundException):
        sandbox.files.watch_dir(f"{folder}/none")
    with pytest.raises(SandboxException, match="not a directory"):
        sandbox.files.watch_dir(f"{folder}/file")


def test_stopped_watchers_leave_no_descriptors(cloud: Cloud, sandbox: Sandbox, folder: Path) -> None:
    descriptors = Path(f"/proc/{cloud.pids['ibox']}/fd")
    before = _inotify_count(descriptors)
    for _ in range(5):
        sandbox.files.watch_dir(str(folder)).stop()
    assert _inotify_count(descriptors) == before
    assert len(list(Path(f"/proc/{cloud.pids['ibox']}/task").iterdir())) == 1


async def test_the_async_watch_streams_events(cloud: Cloud, folder: Path) -> None:
    sandbox: AsyncSandbox = cloud.async_sandbox()
    arrived: asyncio.Queue = asyncio.Queue()
    handle = await sandbox.files.watch_dir(str(folder), on_event=arrived.put)
    (folder / "file").touch()
    event = await asyncio.wait_for(arrived.get(), 60)
    assert (event.type, event.name) == (CREATE, "file")
    await handle.stop()


async def test_the_async_client_reads_and_writes(cloud: Cloud, folder: Path) -> None:
    sandbox: AsyncSandbox = cloud.async_sandbox()
    await sandbox.files.write(f"{folder}/file", "content")
    assert await sandbox.files.read(f"{folder}/file") == "content"
    assert await sandbox.files.exists(f"{folder}/file")
    assert not await sandbox.files.exists(f"{folder}/none")


def _events(watcher, count: int) -> list:
    """Poll until at least ``count`` events came."""
    events: list = []
    deadline = time.monotonic() + 60
    while len(events) < count:
        assert time.monotonic() < deadline, f"only {events}"
        events += watcher.get_new_events()
    return events


def _until_seen(watcher, *wanted: tuple[object, str]) -> None:
    """Poll until all of these came, among others and in any order."""
    missing = set(wanted)
    deadline = time.monotonic() + 60
    while missing:
        assert time.monotonic() < deadline, f"without {missing}"
        missing -= {(event.type, event.name) for event in watcher.get_new_events()}


def _inotify_count(descriptors: Path) -> int:
    return sum("inotify" in os.readlink(entry) for entry in descriptors.iterdir())
