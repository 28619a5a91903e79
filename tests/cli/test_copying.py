"""``nexus upload`` and ``download``."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine

MIB = 1024 * 1024


def test_a_file_goes_in_and_comes_out_as_it_was(shared: Nexus, tmp_path: Path) -> None:
    source = tmp_path / "tool.sh"
    source.write_bytes(b"#!/bin/sh\necho hi\n")
    source.chmod(0o750)
    document = shared.ok("upload", "web", str(source), "bin/", "--json").json("upload")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert (document["file_path"], document["permissions"]) == ("/home/user/bin/tool.sh", "750")
    assert (document["size_bytes"], document["checksum"]) == (18, f"sha256:{digest}")
    assert shared.ok("exec", "web", "--", "stat -c %U:%a bin bin/tool.sh; bin/tool.sh").out == (
        "user:755\nuser:750\nhi\n"
    )
    back = shared.ok("download", "web", "bin/tool.sh", f"{tmp_path}/back/", "--json").json("download")
    copied = tmp_path / "back" / "tool.sh"
    assert (copied.read_bytes(), copied.stat().st_mode & 0o777) == (source.read_bytes(), 0o750)
    assert (back["file_path"], back["checksum"]) == (str(copied), f"sha256:{digest}")


def test_a_folder_keeps_its_files_its_empty_folders_and_its_links(shared: Nexus, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "empty" / "deeper").mkdir(parents=True)
    (tree / "many").mkdir()
    for number in range(300):
        (tree / "many" / f"{number}.txt").write_text(f"file {number}\n" * number)
    (tree / "odd name\n'\"$(x)").write_text("odd")
    (tree / os.fsdecode(b"not \xff text")).write_text("bytes")
    (tree / "large").write_bytes(os.urandom(9 * MIB))
    (tree / "link").symlink_to("many/7.txt")
    document = shared.ok("upload", "web", str(tree), "/srv/tree", "--user", "root", "--json").json("upload")
    assert (document["is_folder"], len(document["files"]), document["checksum"]) == (True, 303, None)
    assert shared.ok("exec", "web", "--user", "root", "--", "cat /srv/tree/link").out == "file 7\n" * 7
    ran = shared.ok("download", "web", "/srv/tree", str(tmp_path / "back"))
    assert "303 files" in ran.out
    assert _content(tmp_path / "back") == _content(tree)


def test_existing_files_are_written_over_and_others_stay(shared: Nexus, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_text("one")
    shared.ok("upload", "web", str(tree), "over")
    shared.ok("exec", "web", "--", "echo own > over/b; chmod 400 over/a")
    (tree / "a").write_text("two")
    shared.ok("upload", "web", str(tree), "over")
    assert shared.ok("exec", "web", "--", "cat over/a over/b").out == "twoown\n"
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "c").write_text("mine")
    shared.ok("download", "web", "over", str(tmp_path / "here"))
    assert _content(tmp_path / "here") == {"a": b"two", "b": b"own\n", "c": b"mine"}


def test_nothing_is_written_outside_of_the_named_folder(shared: Nexus, tmp_path: Path) -> None:
    shared.ok("exec", "web", "--", "mkdir -p bad; cd bad; ln -s /etc/passwd one; ln -s ../.. two; echo ok > three")
    here = tmp_path / "here"
    ran = shared.ok("download", "web", "bad", str(here))
    assert ran.err.count("warning[left-out]") == 2
    assert _content(here) == {"three": b"ok\n"}
    shared.ok("exec", "web", "--", "rm bad/two; mkdir bad/two; echo evil > bad/two/file")
    (here / "two").symlink_to(tmp_path)
    refused = shared("download", "web", "bad", str(here))
    assert (refused.code, "error[path-escapes]" in refused.err) == (1, True)
    assert not (tmp_path / "file").exists()


def test_what_is_not_there_is_an_error_at_either_end(shared: Nexus, tmp_path: Path) -> None:
    assert "error[file-unreadable]" in shared("upload", "web", "no-such", "x").err
    missing = shared("download", "web", "no/such", str(tmp_path), "--json")
    assert (missing.code, missing.json("failure")["diagnostics"][0]["code"]) == (1, "file-not-found")
    (tmp_path / "folder").mkdir()
    shared.ok("exec", "web", "--", "touch plain")
    assert "error[not-a-folder]" in shared("upload", "web", str(tmp_path / "folder"), "plain").err


@pytest.mark.usefixtures("accounts_apart")
def test_files_belong_to_whom_was_asked_for_and_are_read_by_no_other(shared: Nexus, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one").write_text("1")
    shared.ok("upload", "web", str(tmp_path / "mine"), "/srv/mine", "--user", "root")
    assert shared.ok("exec", "web", "--", "stat -c %U /srv/mine /srv/mine/one").out == "root\nroot\n"
    shared.ok("exec", "web", "--user", "root", "--", "mkdir -p -m 700 /srv/hidden/below; chmod 755 /srv/hidden")
    shared.ok("exec", "web", "--user", "root", "--", "chmod 700 /srv/hidden/below")
    refused = shared("download", "web", "/srv/hidden", str(tmp_path / "x"))
    assert (refused.code, "Permission denied" in refused.err) == (1, True)


def test_a_large_file_is_never_held_in_memory(shared: Nexus, tmp_path: Path) -> None:
    source, back = tmp_path / "large", tmp_path / "back"
    with source.open("wb") as file:
        for number in range(400):
            file.write(number.to_bytes(4, "big") * (MIB // 4))
    for arguments in (["upload", "web", str(source), "large"], ["download", "web", "large", str(back)]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        peak = _peak(shared, *arguments)
        assert peak < 250 * MIB, f"{arguments[0]}: {peak / MIB:.0f} MiB (children before: {before / 1024:.0f} MiB)"
    assert subprocess.run(["cmp", str(source), str(back)], check=False).returncode == 0
    shared.ok("exec", "web", "--", "rm large")
    assert (
        shared.ok(
            "exec", "web", "--user", "root", "--", "find /home /run/nexus/jobs -name '*nexus-*' -o -name files.tar"
        ).out
        == ""
    )


def _peak(nexus: Nexus, *arguments: str) -> int:
    """The most memory that a command had at once, in bytes."""
    program = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=2).returncode; "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *nexus.command(*arguments)],
        cwd=nexus.folder,
        env=nexus.environment({}),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def _content(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): f"→ {path.readlink()}"
        if path.is_symlink()
        else "folder"
        if path.is_dir()
        else path.read_bytes()
        for path in folder.rglob("*")
    }
