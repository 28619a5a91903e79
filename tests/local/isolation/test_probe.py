"""The choice of a tier and the doctor's findings."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

from nexus.local.isolation import lent_programs, remedies, tiers
from nexus.local.isolation.probe import NoIsolationError, diagnose, select_isolation
from nexus.local.settings import TIER_VARIABLE, place_for_sockets
from nexus.local.storage.file_systems import file_system_of
from tests.local.isolation.workshop import Places

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]


async def test_the_wanted_tier_is_taken(tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIER_VARIABLE, tier)
    with tempfile.TemporaryDirectory(prefix="nexus-", dir=place_for_sockets()) as runtime:
        isolation = await select_isolation(tmp_path / "store", Path(runtime))
        await isolation.close()
    assert isolation.tier == tier
    assert not list(isolation.store.uppers.iterdir())


async def test_an_unknown_tier_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NoIsolationError, match="there are idmap, root, rootless1, chroot"):
        await select_isolation(tmp_path / "store", tmp_path / "rt", wanted="vm")


async def test_a_tier_that_does_not_work_is_explained(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    tier = "root" if os.geteuid() == 0 else "rootless1"
    with pytest.raises(NoIsolationError, match=rf"{tier}: .*Not a directory"):
        await select_isolation(blocked / "store", tmp_path / "rt", wanted=tier)


async def test_the_doctor_stops_at_the_first_tier_that_works(places: Places, verdicts: dict[str, str]) -> None:
    before = sorted(places.store.iterdir())
    started = time.perf_counter()
    findings = {finding.name: finding for finding in await diagnose(places.store.parent)}
    sys.stdout.write(f"the doctor took {time.perf_counter() - started:.1f} s\n")
    working = [name for name, problem in verdicts.items() if not problem]
    tried = [tier.name for tier in tiers.ALL if tier.name in findings]
    assert tried == [tier.name for tier in tiers.ALL][: len(tried)]
    assert [name for name in tried if findings[name].ok] == working[:1], findings
    assert all(findings[name].detail for name in tried if not findings[name].ok)
    assert {"limits", "pause", "bash", "python3", "pip3", "node", "npm", "git", "curl", "sudo"} <= set(findings)
    if working:
        assert "network" in findings
    assert sorted(places.store.iterdir()) == before
    assert not [left for left in places.store.glob("*/up/*") if "self-test" in left.name]


async def test_the_doctor_tries_every_tier_when_asked(places: Places, verdicts: dict[str, str]) -> None:
    findings = {finding.name: finding for finding in await diagnose(places.store.parent, every=True)}
    assert {tier.name: findings[tier.name].ok for tier in tiers.ALL} == {
        name: not problem for name, problem in verdicts.items()
    }, findings


async def test_a_home_that_cannot_be_used_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    findings = {finding.name: finding for finding in await diagnose(tmp_path / "file" / "home")}
    for tier in tiers.ALL:
        assert not findings[tier.name].ok
        assert findings[tier.name].detail


async def test_file_systems_are_told_by_the_mount_a_path_is_on(tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "1 0 0:1 / / rw - overlay overlay rw\n"
        "2 1 0:2 / /var/lib\\040x rw - ext4 /dev/vda rw\n"
        "3 1 0:3 / /var rw shared:1 - tmpfs tmpfs rw\n"
        "4 1 0:4 / /srv/größe rw - xfs /dev/vdb rw\n"
    )
    assert file_system_of(Path("/opt/x"), mountinfo) == "overlay"
    assert file_system_of(Path("/var/other"), mountinfo) == "tmpfs"
    assert file_system_of(Path("/var/lib x/home"), mountinfo) == "ext4"
    assert file_system_of(Path("/srv/größe/home"), mountinfo) == "xfs"


async def test_a_host_without_a_shell_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent_programs, "_PATH", str(tmp_path))
    missing = {finding.name: finding for finding in lent_programs.program_findings()}
    assert not missing["npm"].ok
    assert missing["npm"].remedy is not None
    assert missing["npm"].remedy.endswith("npm")
    assert missing["sudo"].ok
    with pytest.raises(NoIsolationError, match="no bash"):
        await select_isolation(tmp_path / "store", tmp_path / "rt")


@pytest.mark.parametrize(
    ("tier_name", "failure", "word"),
    [
        ("idmap", "/x is on a file system of type nfs, which cannot map ids", "NEXUS_HOME"),
        ("root", "[Errno 22] mount overlay on /x: Invalid argument", "overlay"),
    ],
)
async def test_a_known_cause_has_a_remedy(
    tier_name: str, failure: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("platform.release", lambda: "6.1.0-18-amd64")
    remedy = remedies.for_tier(tiers.by_name(tier_name), failure)
    assert remedy is not None
    assert word in remedy


async def test_whoever_is_not_root_is_told_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert remedies.for_tier(tiers.IDMAP, "needs root") == "sudo -E nexus local start"


async def test_in_a_container_without_sudo_another_user_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mark").touch()
    monkeypatch.setattr("nexus.local.isolation.remedies._MARKS_OF_CONTAINERS", (str(tmp_path / "mark"),))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda _: None)
    remedy = remedies.for_tier(tiers.IDMAP, "needs root")
    assert remedy == "run nexus as root of the container: docker run --user 0 …"
    on_overlay = "/h/store is on a file system of type overlay, which cannot lie under a sandbox's root (mount overlay)"
    assert remedies.for_tier(tiers.ROOTLESS_SINGLE, on_overlay) == remedies.IN_CONTAINER


async def test_programs_on_a_file_system_that_cannot_map_ids_are_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in every container, whose root is an overlay."""

    def refuse(path: Path, _: object) -> None:
        if path == Path("/usr"):
            raise OSError(errno.EINVAL, "mount_setattr: Invalid argument")

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("nexus.local.isolation.mounts.map_ids", refuse)
    monkeypatch.setattr("nexus.local.isolation.user_namespaces.create_mapped", lambda: contextlib.nullcontext())
    monkeypatch.setattr("contextlib.closing", lambda made: made)
    with pytest.raises(NoIsolationError) as refusal:
        await select_isolation(tmp_path / "store", tmp_path / "rt", wanted="idmap")
    assert "idmap: /usr, whose programs sandboxes use, is on a file system of type" in str(refusal.value)
    assert "to mend it" not in str(refusal.value)
    assert not (tmp_path / "store").exists()


async def test_root_whose_sandboxes_get_no_network_is_told_which_flags_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("nexus.local.isolation.capabilities.has_permitted", lambda number: number != 12)
    remedy = remedies.for_network()
    assert remedy is not None
    assert "--cap-add NET_ADMIN" in remedy


async def test_root_without_its_powers_is_told_which_flags_give_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("nexus.local.isolation.capabilities.has_permitted", lambda number: number not in (18, 27))
    with pytest.raises(NoIsolationError) as refusal:
        await select_isolation(tmp_path / "store", tmp_path / "rt", wanted="chroot")
    assert "root has not the capabilities MKNOD, SYS_CHROOT here" in str(refusal.value)
    assert "--cap-add MKNOD" in str(refusal.value)


async def test_a_tier_that_keeps_little_apart_is_never_taken_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TIER_VARIABLE, raising=False)
    monkeypatch.setattr("nexus.local.isolation.tiers.ALL", ())
    with pytest.raises(NoIsolationError) as refusal:
        await select_isolation(tmp_path / "store", tmp_path / "rt")
    assert "chroot: " in str(refusal.value)
