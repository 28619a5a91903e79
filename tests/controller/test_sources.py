"""Folders and repositories as sources, with the real Git."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nexus.controller.settings import GitPlace
from nexus.controller.sources import FolderSource, GitSource, without_credentials
from nexus.model.diagnostics import DiagnosticsError
from tests.controller.repositories import git

MANIFEST = "apiVersion: nexus/v1\nproject: shop\n"


def commit(folder: Path, text: str, *options: str) -> str:
    (folder / "infra").mkdir(exist_ok=True)
    (folder / "infra" / "nexus.yaml").write_text(MANIFEST + f"# {text}\n")
    git(folder, "add", ".")
    git(folder, *options, "commit", "--quiet", "-m", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "first")
    return folder


def source(repository: Path, **place: object) -> GitSource:
    where = {"url": f"file://{repository}", "path": "infra", **place}
    if "tag" not in where:
        where.setdefault("branch", "main")
    home = repository.parent / "kept"
    process = {"PATH": os.environ["PATH"], "HOME": str(repository.parent), "GIT_DIR": "/nowhere"}
    return GitSource(GitPlace(**where), home, process)  # type: ignore[arg-type]


async def test_a_branch_is_followed_commit_by_commit(repository: Path) -> None:
    following = source(repository)
    first = await following.refresh()
    assert (first.id, first.title) == (git(repository, "rev-parse", "HEAD"), "first")
    assert first.manifest.read_text() == MANIFEST + "# first\n"
    assert await following.refresh() == first
    second_id = commit(repository, "second")
    second = await following.refresh()
    assert (second.id, second.title) == (second_id, "second")
    assert second.manifest.read_text().endswith("# second\n")
    assert first.manifest.read_text().endswith("# first\n"), "an apply may still read it"


async def test_a_branch_that_is_forced_elsewhere_is_followed_and_old_files_go(repository: Path) -> None:
    following = source(repository)
    seen = [(await following.refresh()).manifest]
    git(repository, "checkout", "--quiet", "--orphan", "other")
    for number in range(4):
        commit(repository, f"change {number}")
        git(repository, "branch", "--force", "main")
        seen.append((await following.refresh()).manifest)
    assert [path.exists() for path in seen] == [False, False, True, True, True]


async def test_a_tag_is_followed_when_it_moves(repository: Path) -> None:
    git(repository, "tag", "live")
    following = source(repository, tag="live")
    first = await following.refresh()
    commit(repository, "second")
    assert await following.refresh() == first
    git(repository, "tag", "--force", "-m", "with a message", "live")
    assert (await following.refresh()).title == "second"


async def test_what_is_ignored_for_archives_and_hooks_make_no_difference(repository: Path) -> None:
    (repository / ".gitattributes").write_text("infra/nexus.yaml export-ignore\n")
    commit(repository, "with attributes")
    revision = await source(repository).refresh()
    assert revision.manifest.exists()


async def test_a_repository_that_is_gone_says_so_without_what_is_secret_in_its_address(repository: Path) -> None:
    following = source(repository)
    await following.refresh()
    shutil.rmtree(repository)
    with pytest.raises(DiagnosticsError) as caught:
        await following.refresh()
    assert caught.value.diagnostics[0].code == "source-unavailable"
    with pytest.raises(DiagnosticsError) as caught:
        await source(repository, url="http://user:hunter2@127.0.0.1:9/infra.git?token=hunter2").refresh()
    assert "127.0.0.1:9/infra.git" in caught.value.diagnostics[0].detail
    assert "hunter2" not in caught.value.diagnostics[0].detail


async def test_a_branch_that_is_none_and_a_path_that_leads_out_are_refused(repository: Path) -> None:
    with pytest.raises(DiagnosticsError, match="can't be read"):
        await source(repository, branch="nope").refresh()
    with pytest.raises(DiagnosticsError, match="leads out"):
        await source(repository, path="../../..").refresh()


async def test_an_address_that_looks_like_an_option_is_an_address(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(DiagnosticsError):
        await source(repository, url=f"--upload-pack=touch {tmp_path}/owned").refresh()
    assert not (tmp_path / "owned").exists()


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="signatures need ssh-keygen")
async def test_only_signed_commits_and_tags_are_taken_where_that_is_asked(repository: Path) -> None:
    key = repository.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)  # noqa: ASYNC221
    signers = repository.parent / "signers"
    signers.write_text(f"a@b {key.with_suffix('.pub').read_text()}")
    signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}.pub")
    following = source(repository, verify=True, allowed_signers=signers)
    with pytest.raises(DiagnosticsError, match="no good signature") as caught:
        await following.refresh()
    assert caught.value.diagnostics[0].code == "signature-refused"
    signed = commit(repository, "signed", *signing, "-c", "commit.gpgsign=true")
    assert (await following.refresh()).id == signed
    signers.write_text("")
    with pytest.raises(DiagnosticsError, match="no good signature"):
        await following.refresh()
    signers.write_text(f"a@b {key.with_suffix('.pub').read_text()}")
    plain = commit(repository, "plain")
    git(repository, *signing, "tag", "--sign", "-m", "vouched for", "v1")
    tagged = source(repository, tag="v1", verify=True, allowed_signers=signers)
    assert (await tagged.refresh()).id == plain, "the tag's signature vouches for it"


async def test_a_change_in_a_folder_counts_once_it_stands_still(tmp_path: Path) -> None:
    (tmp_path / "nexus.yaml").write_text(MANIFEST)
    folder = FolderSource(tmp_path)
    first = await folder.refresh()
    assert not first.is_settling
    (tmp_path / "nexus.yaml").write_text(MANIFEST + "# half")
    assert (await folder.refresh()).is_settling
    (tmp_path / "nexus.yaml").write_text(MANIFEST + "# the whole")
    assert (await folder.refresh()).is_settling
    settled = await folder.refresh()
    assert not settled.is_settling
    assert settled.id != first.id
    (tmp_path / "nexus.yaml").write_text(MANIFEST)
    await folder.refresh()
    assert (await folder.refresh()).id == first.id, "content counts, not when it was written"


async def test_files_that_change_all_the_time_settle_in_the_end(tmp_path: Path) -> None:
    folder = FolderSource(tmp_path)
    (tmp_path / "log").write_text("")
    settling = []
    for number in range(12):
        (tmp_path / "log").write_text("x" * number)
        settling.append((await folder.refresh()).is_settling)
    assert settling == [False, *[True] * 10, False]


async def test_names_modes_links_and_contents_count_and_what_nexus_keeps_does_not(tmp_path: Path) -> None:
    folder = FolderSource(tmp_path)
    (tmp_path / "a").write_text("1")
    seen = {(await folder.refresh()).id}

    async def is_new() -> bool:
        now = (await folder.refresh()).id
        known = now in seen
        seen.add(now)
        return not known

    (tmp_path / "a").chmod(0o755)
    assert await is_new()
    (tmp_path / "a").rename(tmp_path / "b")
    assert await is_new()
    (tmp_path / "link").symlink_to("b")
    assert await is_new()
    (tmp_path / ".nexus").mkdir()
    (tmp_path / ".nexus" / "state.json").write_text("{}")
    (tmp_path / ".git").mkdir()
    assert not await is_new()


async def test_a_folder_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticsError, match="not there"):
        await FolderSource(tmp_path / "nope").refresh()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@example.com/a.git", "https://example.com/a.git"),
        ("https://example.com/a.git?token=secret#x", "https://example.com/a.git"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
        ("/srv/a.git", "/srv/a.git"),
        ("http://[::1", "(an address that can't be read)"),
    ],
)
def test_addresses_are_shown_without_secrets(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
