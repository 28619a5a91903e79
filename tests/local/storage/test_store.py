"""The store without machines: names, removal, the generated base."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nexus.local.storage import layers
from nexus.local.storage.base_root import BaseOptions, build_base, refresh_resolver
from nexus.local.storage.host import fingerprint, shared_folders
from nexus.local.storage.layout import Store, checked_name, short_key
from nexus.local.storage.removal import remove_tree
from nexus.local.storage.trash import Trash


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A small host with secrets, people, and a merged /usr."""
    root = tmp_path / "host"
    for folder in (
        "usr/bin",
        "usr/lib/python3.11",
        "opt",
        "etc/ssl/private",
        "etc/ssl/certs",
        "etc/apt",
        "var/lib/dpkg",
    ):
        (root / folder).mkdir(parents=True)
    (root / "home/alice").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    files = {
        "etc/passwd": (
            "root:x:0:0:root:/root:/bin/zsh\ndaemon:x:1:1:d:/usr/sbin:/usr/sbin/nologin\n"
            "alice:$6$hash:1001:1001:Alice A:/home/alice:/bin/sh\n"
        ),
        "etc/group": "root:x:0:\nsudo:x:27:alice\nalice:x:1001:\n",
        "etc/shadow": "root:$6$secret:1::::::\n",
        "etc/hostname": "workstation\n",
        "etc/machine-id": "0123456789abcdef\n",
        "etc/resolv.conf": "nameserver 192.0.2.1\n",
        "etc/ssl/certs/ca.pem": "certificate\n",
        "etc/ssl/private/key.pem": "private\n",
        "etc/apt/sources.list": "deb http://example.com stable main\n",
        "etc/apt/auth.conf": "password\n",
        "etc/os-release": "ID=test\n",
        "usr/bin/python3": "",
        "usr/lib/python3.11/EXTERNALLY-MANAGED": "",
        "var/lib/dpkg/status": "Package: one\n",
    }
    for name, text in files.items():
        (root / name).write_text(text)
    for path in root.rglob("*"):  # what others may not read is not taken over
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    (root / "etc/shadow").chmod(0o640)
    (root / "etc/apt/auth.conf").chmod(0o600)
    return root


@pytest.fixture
def options() -> BaseOptions:
    return BaseOptions(rise="su", nameserver="127.77.255.53", single_uid=os.geteuid() != 0)


def test_the_base_holds_nothing_of_the_hosts_people_and_secrets(
    host: Path, options: BaseOptions, tmp_path: Path
) -> None:
    build_base(tmp_path / "base", options, host)
    root = tmp_path / "base/root"
    assert [path.name for path in (root / "home").iterdir()] == ["user"]
    texts = "".join(path.read_text() for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    for secret in ("alice", "Alice", "$6$", "workstation", "0123456789abcdef", "private", "password", "192.0.2.1"):
        assert secret not in texts.replace("NOPASSWD", "").replace("without a password", ""), secret
    assert (root / "etc/ssl/certs/ca.pem").read_text() == "certificate\n"
    assert (root / "etc/apt/sources.list").exists()
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777


def test_the_base_has_root_user_and_sudo(host: Path, options: BaseOptions, tmp_path: Path) -> None:
    build_base(tmp_path / "base", options, host)
    etc = tmp_path / "base/root/etc"
    users = {line.split(":")[0]: line.split(":")[2:] for line in (etc / "passwd").read_text().splitlines()}
    assert users["user"] == ["1000", "1000", "", "/home/user", "/bin/bash"]
    assert users["root"][-2:] == ["/root", "/bin/bash"]
    assert "sudo:x:27:user" in (etc / "group").read_text().splitlines()
    assert os.access(tmp_path / "base/usr/local/bin/sudo", os.X_OK)
    assert (tmp_path / "base/usr/local/bin/python").readlink() == Path("/usr/bin/python3")


def test_pip_is_not_locked_out(host: Path, options: BaseOptions, tmp_path: Path) -> None:
    build_base(tmp_path / "base", options, host)
    marker = (tmp_path / "base/usr/lib/python3.11/EXTERNALLY-MANAGED").lstat()
    assert stat.S_ISCHR(marker.st_mode)
    assert marker.st_rdev == 0


def test_a_failed_base_leaves_nothing(host: Path, options: BaseOptions, tmp_path: Path) -> None:
    (host / "usr").rename(host / "elsewhere")
    (tmp_path / "bases").mkdir()
    with pytest.raises(OSError, match="/usr"):
        build_base(tmp_path / "bases/one", options, host)
    assert not list((tmp_path / "bases").iterdir())


def test_the_resolver_follows_the_host_when_machines_share_its_network(host: Path, tmp_path: Path) -> None:
    options = BaseOptions(rise="su", nameserver=None, single_uid=True)
    build_base(tmp_path / "base", options, host)
    (host / "etc/resolv.conf").write_text("nameserver 192.0.2.2\n")
    refresh_resolver(tmp_path / "base", options, host)
    assert (tmp_path / "base/root/etc/resolv.conf").read_text() == "nameserver 192.0.2.2\n"


def test_the_fingerprint_changes_with_packages_and_flavour(host: Path) -> None:
    before = fingerprint("a", host)
    assert fingerprint("a", host) == before
    assert fingerprint("b", host) != before
    (host / "var/lib/dpkg/status").write_text("Package: one\n\nPackage: two\n")
    assert fingerprint("a", host) != before


def test_only_real_folders_are_lent(host: Path) -> None:
    assert shared_folders(host) == ("usr", "opt")
    (host / "bin").unlink()
    (host / "bin").mkdir()
    assert shared_folders(host) == ("usr", "opt", "bin")


def test_layer_paths_stay_short() -> None:
    assert len(short_key("x" * 500)) == 10
    assert short_key("a") != short_key("b")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a\0", "x" * 200])
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="machine id"):
        checked_name(name)


def test_removal_copes_with_modes_depth_and_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    tree = tmp_path / "tree"
    tree.mkdir()
    # One level at a time: the whole path is longer than the kernel takes in one call.
    here = os.open(tree, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (tree / "link").symlink_to(outside)
    (tree / "locked").mkdir()
    (tree / "locked/file").write_text("")
    (tree / "locked").chmod(0)
    remove_tree(tree)
    assert not tree.exists()
    assert (outside / "kept").exists()
    remove_tree(tree)


def test_an_interrupted_commit_is_swept_away(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.create()
    layers.create_upper(store, "one", ["root"])
    store.upper("one").rename(store.scratch())
    trash = Trash(store.trash)
    layers.empty_temporary(store, trash)
    assert not list(store.temporary.iterdir())
    with pytest.raises(FileNotFoundError):
        layers.commit_upper(store, trash, "one", "layer")
