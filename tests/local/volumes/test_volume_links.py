"""What a sandbox leaves in a volume must not lead the API astray."""

from __future__ import annotations

import pytest
from e2b.exceptions import NotFoundException, SandboxException, VolumeException

from tests.local.volumes.conftest import Mounted

pytestmark = pytest.mark.engine


def test_the_user_of_a_sandbox_is_1000_in_the_api(mounted: Mounted) -> None:
    mounted.sees("echo x > made-inside; mkdir folder")
    inside = mounted.volume.get_info("/made-inside")
    assert (inside.uid, inside.gid) == (1000, 1000)
    mounted.volume.write_file("/made-outside", "x")
    mounted.volume.make_dir("/folder-outside")
    assert mounted.sees("stat -c %u:%g made-outside folder-outside").split() == ["1000:1000", "1000:1000"]
    mounted.sees("echo more >> made-outside && touch folder-outside/file")


def test_owners_and_modes_are_those_seen_inside(mounted: Mounted, accounts_apart: None) -> None:
    mounted.sees("touch roots", user="root")
    assert mounted.volume.get_info("/roots").uid == 0
    mounted.volume.write_file("/file", "x", uid=0, gid=33, mode=0o4750)
    assert mounted.sees("stat -c %u:%g:%a file") == "0:33:4750"
    mounted.volume.update_metadata("/file", uid=1001, gid=1001, mode=0o755)
    assert mounted.sees("stat -c %u:%g:%a file") == "1001:1001:755"


def test_owners_asked_for_are_remembered_on_every_tier(mounted: Mounted) -> None:
    mounted.volume.write_file("/file", "x", uid=1001, gid=1002, mode=0o400)
    found = mounted.volume.update_metadata("/file", uid=1003)
    assert (found.uid, found.gid, found.mode) == (1003, 1002, 0o400)
    assert mounted.volume.get_info("/file").uid == 1003


def test_links_and_dots_do_not_lead_out_of_the_volume(mounted: Mounted) -> None:
    mounted.sees(
        "ln -s / root; ln -s /etc/hostname file; ln -s ../../../../../../etc up; ln -s loop loop; ln -s inner alias;"
        "mkdir inner; echo hidden > inner/kept; mkdir -p etc-of-our-own"
    )
    volume = mounted.volume
    assert volume.get_info("/file").type.value == "symlink"
    assert volume.get_info("/file").target == "/etc/hostname"
    for path in (
        "/file",
        "/root/etc/hostname",
        "/etc/hostname",
        "/../../../../etc/hostname",
        "/inner/../../../etc/passwd",
    ):
        with pytest.raises(NotFoundException):
            volume.read_file(path)
    # The root that a link names is the volume's own.
    assert {entry.name for entry in volume.list("/root")} == {entry.name for entry in volume.list("/")}
    assert [entry.path for entry in volume.list("/alias")] == ["/alias/kept"]
    with pytest.raises(VolumeException):
        volume.read_file("/loop")
    volume.write_file("/root/written", "inside")
    assert mounted.sees("cat written") == "inside"
    volume.write_file("/file", "replaced", force=True)
    assert mounted.sees("cat file") == "replaced"
    volume.remove("/alias")
    assert mounted.sees("cat inner/kept") == "hidden"


def test_a_link_that_leads_somewhere_is_written_through(mounted: Mounted) -> None:
    mounted.sees("mkdir real; echo old > real/file; ln -s real/file link")
    mounted.volume.write_file("/link", "new\n", force=True)
    assert mounted.sees("cat real/file; readlink link").split() == ["new", "real/file"]


def test_pipes_devices_and_deep_nesting_do_no_harm(mounted: Mounted) -> None:
    mounted.sees(
        "mkfifo pipe; i=0; while [ $i -lt 300 ]; do mkdir aaaaaaaaaaaaaaaaaaaaaaaa; cd aaaaaaaaaaaaaaaaaaaaaaaa; "
        "i=$((i+1)); done; touch bottom"
    )
    volume = mounted.volume
    assert volume.get_info("/pipe").type.value == "unknown"
    with pytest.raises(VolumeException, match="not a file"):
        volume.read_file("/pipe")
    assert len(volume.list("/", depth=100)) == 101
    volume.remove("/aaaaaaaaaaaaaaaaaaaaaaaa")
    assert [entry.name for entry in volume.list("/")] == ["pipe"]


def test_what_is_closed_to_everyone_can_be_removed(mounted: Mounted) -> None:
    mounted.sees("mkdir -p closed/inner; touch closed/inner/file; chmod 000 closed/inner closed")
    mounted.volume.remove("/closed")
    assert mounted.volume.exists("/closed") is False


def test_impossible_paths_are_refused_not_crashed_on(mounted: Mounted) -> None:
    for path in ("/" + "x" * 300, "/" + "y/" * 3000, "/a\0b"):
        with pytest.raises((VolumeException, SandboxException)):
            mounted.volume.get_info(path)
