"""The content of volumes over the API, by the official SDK."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from e2b import AsyncVolume, NotFoundException, Sandbox, Volume
from e2b.exceptions import AuthenticationException, VolumeException

from nexus.local.daemon import Endpoint
from nexus.local.sandboxes.volumes import VolumeRegistry
from tests.local.engine_client import sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine


def test_text_bytes_and_streams_come_back_as_written(volume: Volume) -> None:
    big = bytes(range(256)) * 20_000
    volume.write_file("/text", "grüße")
    volume.write_file("/bytes", b"\x00\xff")
    volume.write_file("/big", io.BytesIO(big))
    volume.write_file("/empty", "")
    assert volume.read_file("/text") == "grüße"
    assert volume.read_file("/bytes", format="bytes") == b"\x00\xff"
    assert b"".join(volume.read_file("/big", format="stream")) == big
    assert volume.read_file("/empty", format="bytes") == b""
    assert volume.get_info("/big").size == len(big)


async def test_the_asynchronous_client_does_all_of_it(volume: Volume, engine: Endpoint) -> None:
    found = await AsyncVolume.connect(volume.volume_id, **sdk(engine))
    await found.make_dir("/a/b", force=True)
    written = await found.write_file("/a/b/c", "text", uid=1000, gid=1000, mode=0o600)
    assert (written.uid, written.gid, written.mode) == (1000, 1000, 0o600)
    assert await found.read_file("/a/b/c") == "text"
    stream = await found.read_file("/a/b/c", format="stream")
    assert b"".join([piece async for piece in stream]) == b"text"
    assert [entry.path for entry in await found.list("/", depth=3)] == ["/a", "/a/b", "/a/b/c"]
    assert (await found.update_metadata("/a/b/c", mode=0o640)).mode == 0o640
    await found.remove("/a")
    assert await found.exists("/a") is False


def test_what_exists_is_only_replaced_by_force(volume: Volume) -> None:
    volume.write_file("/file", "one", mode=0o600)
    with pytest.raises(VolumeException, match="409"):
        volume.write_file("/file", "two")
    assert volume.read_file("/file") == "one"
    replaced = volume.write_file("/file", "two", force=True)
    assert volume.read_file("/file") == "two"
    assert replaced.mode == 0o600
    volume.make_dir("/folder")
    with pytest.raises(VolumeException, match="409"):
        volume.make_dir("/folder")
    assert volume.make_dir("/folder", force=True).type.value == "directory"
    with pytest.raises(VolumeException, match="409"):
        volume.write_file("/folder", "text", force=True)


def test_missing_parents_are_made_by_force_alone(volume: Volume) -> None:
    with pytest.raises(NotFoundException):
        volume.write_file("/x/y", "text")
    with pytest.raises(NotFoundException):
        volume.make_dir("/x/y")
    volume.write_file("/x/y", "text", force=True)
    assert volume.get_info("/x").type.value == "directory"


def test_missing_paths_are_not_found(volume: Volume) -> None:
    for attempt in (volume.get_info, volume.read_file, volume.list, volume.remove):
        with pytest.raises(NotFoundException):
            attempt("/missing")
    with pytest.raises(NotFoundException):
        volume.update_metadata("/missing", mode=0o644)
    assert volume.exists("/missing") is False


def test_a_folder_is_removed_with_everything_in_it(volume: Volume) -> None:
    volume.write_file("/top/middle/file", "text", force=True)
    volume.remove("/top")
    assert volume.list("/") == []
    with pytest.raises(VolumeException, match="root"):
        volume.remove("/")


def test_a_listing_goes_as_deep_as_asked(volume: Volume) -> None:
    volume.write_file("/b/c/d", "text", force=True)
    volume.write_file("/a", "text")
    assert [entry.path for entry in volume.list("/")] == ["/a", "/b"]
    assert [entry.path for entry in volume.list("/", depth=2)] == ["/a", "/b", "/b/c"]
    assert [entry.path for entry in volume.list("/b", depth=9)] == ["/b/c", "/b/c/d"]
    with pytest.raises(VolumeException, match="not a directory"):
        volume.list("/a")


def test_an_upload_that_breaks_off_changes_nothing(volume: Volume) -> None:
    volume.write_file("/file", "whole")

    def breaking() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the source broke")

    class Source(io.RawIOBase):
        pieces = breaking()

        def read(self, size: int = -1) -> bytes:
            return next(self.pieces)

    with pytest.raises(Exception, match="the source broke"):
        volume.write_file("/file", Source(), force=True)
    assert volume.read_file("/file") == "whole"
    assert [entry.name for entry in volume.list("/")] == ["file"]


def test_only_the_volumes_own_token_opens_it(volume: Volume, engine: Endpoint, volume_url: str) -> None:
    other = Volume.create("another-volume", **sdk(engine))
    try:
        with pytest.raises(AuthenticationException):
            volume.list("/", token=other.token)
        url = f"{volume_url}/volumecontent/{volume.volume_id}/dir"
        for headers in (
            {},
            {"X-API-KEY": engine.api_key},
            {"Authorization": "Bearer"},
            {"Authorization": "Basic eA=="},
        ):
            answer = httpx.get(url, params={"path": "/"}, headers=headers)
            assert answer.status_code == 401, headers
            assert answer.json()["code"] == "401"
    finally:
        Volume.destroy(other.volume_id, **sdk(engine))


def test_a_destroyed_volume_is_gone_with_its_content(engine: Endpoint, volume_url: str) -> None:
    volume = Volume.create("short-lived", **sdk(engine))
    volume.write_file("/a/b", "text", force=True)
    assert Volume.destroy(volume.volume_id, **sdk(engine)) is True
    with pytest.raises(NotFoundException):
        volume.list("/")
    assert Volume.destroy(volume.volume_id, **sdk(engine)) is False
    assert not list(engine.home.glob(f"volumes/{volume.volume_id}*"))
    wait_until(lambda: not list(engine.home.glob("volumes/.trash/*")), "it has left the disk")


def test_what_a_killed_daemon_threw_away_leaves_the_disk_at_the_next_start(tmp_path: Path) -> None:
    before = VolumeRegistry(tmp_path, None)
    before.open()
    before.close()
    for leftover in (tmp_path / ".trash/thrown-away", tmp_path / "no-record-of-it"):
        (leftover / "folder").mkdir(parents=True)
    after = VolumeRegistry(tmp_path, None)
    after.open()
    assert not (tmp_path / "no-record-of-it").exists()
    wait_until(lambda: not list((tmp_path / ".trash").iterdir()), "nothing is left")
    after.close()


def test_two_sandboxes_and_the_api_see_the_same_files(volume: Volume, engine: Endpoint) -> None:
    first = Sandbox.create(volume_mounts={"/data": volume}, **sdk(engine))
    second = Sandbox.create(volume_mounts={"/mnt/other": volume}, **sdk(engine))
    try:
        first.commands.run("echo from-first > /data/a")
        assert second.commands.run("cat /mnt/other/a").stdout == "from-first\n"
        assert volume.read_file("/a") == "from-first\n"
        volume.write_file("/a", "from-api\n", force=True)
        assert first.commands.run("cat /data/a").stdout == "from-api\n"
        second.commands.run("echo more >> /mnt/other/a")
        assert volume.read_file("/a") == "from-api\nmore\n"
    finally:
        first.kill()
        second.kill()
