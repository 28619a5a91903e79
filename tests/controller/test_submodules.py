"""Repositories in repositories, and files that are elsewhere, with the real Git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nexus.controller.settings import GitPlace
from nexus.controller.sources import GitSource
from nexus.controller.sources.program import GitProgram, is_local
from nexus.controller.sources.submodules import Submodules, absolute
from nexus.model.diagnostics import DiagnosticsError
from tests.controller.repositories import git

LOCALLY = ("-c", "protocol.file.allow=always")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 5\n"


def repository(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "files")
    return folder


def add_submodule(folder: Path, url: str, path: str) -> None:
    git(folder, *LOCALLY, "submodule", "--quiet", "add", url, path)
    git(folder, "commit", "--quiet", "-m", f"{path} of others")


def process(folder: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), **more}


def source(origin: Path, **more: str) -> GitSource:
    home = origin.parent
    return GitSource(GitPlace(url=f"file://{origin}", branch="main"), home / "kept", process(home, **more))


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with a submodule, which has one itself, by an address that is relative to its own."""
    base = repository(tmp_path / "base", base_txt="the base")
    library = repository(tmp_path / "library", library_txt="the library")
    add_submodule(library, "../base", "deep/base")
    made = repository(tmp_path / "origin", nexus_yaml="apiVersion: nexus/v1\n")
    add_submodule(made, f"file://{library}", "lib")
    assert base.exists()
    return made


async def test_submodules_are_there_and_theirs_and_follow_their_repository(origin: Path) -> None:
    following = source(origin)
    tree = (await following.refresh()).manifest.parent
    assert (tree / "lib" / "library.txt").read_text() == "the library"
    assert (tree / "lib" / "deep" / "base" / "base.txt").read_text() == "the base"
    assert not list(tree.rglob(".git")), "nothing of Git is in what is read"

    library = repository(origin.parent / "library", library_txt="the next")
    assert (await following.refresh()).manifest.parent == tree, "what counts is the commit that the repository names"
    git(origin / "lib", *LOCALLY, "pull", "--quiet")
    git(origin, "commit", "--quiet", "-am", "take the next")
    after = (await following.refresh()).manifest.parent
    assert (after / "lib" / "library.txt").read_text() == "the next"
    assert (tree / "lib" / "library.txt").read_text() == "the library", "an apply may still read it"
    assert library.exists()


async def test_a_commit_that_no_branch_leads_to_any_more_is_asked_for_by_its_name(origin: Path) -> None:
    library = origin.parent / "library"
    git(library, "commit", "--quiet", "--amend", "-m", "history was written anew")
    assert (await source(origin).refresh()).manifest.with_name("lib").joinpath("library.txt").exists()


async def test_a_submodule_that_is_gone_says_so_and_one_that_is_not_wanted_is_left_out(origin: Path) -> None:
    (origin.parent / "library").rename(origin.parent / "elsewhere")
    with pytest.raises(DiagnosticsError, match="The submodule lib can't be had") as caught:
        await source(origin).refresh()
    assert caught.value.diagnostics[0].code == "source-unavailable"
    git(origin, "config", "--file", ".gitmodules", "submodule.lib.update", "none")
    git(origin, "commit", "--quiet", "-am", "do without")
    tree = (await source(origin).refresh()).manifest.parent
    assert list((tree / "lib").iterdir()) == []


@pytest.mark.parametrize("form", ["file://{library}", "{library}", "ext::touch {owned}"])
async def test_a_repository_from_elsewhere_reaches_no_files_or_programs_of_this_machine(
    origin: Path, tmp_path: Path, form: str
) -> None:
    owned = tmp_path / "owned"
    git(
        origin,
        "config",
        "--file",
        ".gitmodules",
        "submodule.lib.url",
        form.format(library=tmp_path / "library", owned=owned),
    )
    git(origin, "commit", "--quiet", "--allow-empty", "-am", "look elsewhere")
    fetched = GitProgram(origin / ".git", "https://git.example.com/infra.git", process(tmp_path))
    with pytest.raises(DiagnosticsError, match="The submodule lib can't be had") as caught:
        await Submodules(tmp_path / "kept", process(tmp_path)).fill(fetched, "HEAD", tmp_path / "tree")
    assert "not allowed" in caught.value.diagnostics[0].detail
    assert not owned.exists()


async def test_what_the_user_forbids_stays_forbidden(origin: Path) -> None:
    with pytest.raises(DiagnosticsError, match="can't be read"):
        await source(origin, GIT_ALLOW_PROTOCOL="https").refresh()


async def test_hooks_of_a_submodule_do_not_run(origin: Path, tmp_path: Path) -> None:
    hook = origin.parent / "library" / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    await source(origin).refresh()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("base", "url", "found"),
    [
        ("https://example.com/a/infra.git", "../lib.git", "https://example.com/a/lib.git"),
        ("https://me:pw@example.com/a/infra.git/", "./../../b/lib", "https://me:pw@example.com/b/lib"),
        ("git@example.com:infra.git", "../lib.git", "git@example.com:lib.git"),
        ("/srv/infra", "./lib", "/srv/infra/lib"),
        ("/srv/infra", "https://example.com/lib", "https://example.com/lib"),
    ],
)
def test_relative_addresses(base: str, url: str, found: str) -> None:
    assert absolute(base, url) == found


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("/srv/a", True),
        ("a/b:c", True),
        ("file:///srv/a", True),
        ("git@example.com:a", False),
        ("https://example.com/a", False),
        ("ext::sh", False),
    ],
)
def test_which_addresses_are_of_this_machine(url: str, local: bool) -> None:
    assert is_local(url) is local


async def test_files_of_git_lfs_are_fetched_by_it_and_refused_where_there_is_none(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", nexus_yaml="apiVersion: nexus/v1\n", _gitattributes="*.bin filter=lfs\n")
    (origin / "model.bin").write_text(POINTER)
    repository(origin, other_bin="as it is")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "sh"):
        found = next(path for folder in os.environ["PATH"].split(":") if (path := Path(folder, name)).exists())
        (programs / name).symlink_to(found)
    with pytest.raises(DiagnosticsError, match="Git LFS") as caught:
        await source(origin, PATH=str(programs)).refresh()
    assert "pointers of model.bin." in caught.value.diagnostics[0].detail
    assert "git-lfs" in caught.value.diagnostics[0].hint

    program = programs / "git-lfs"
    program.write_text('#!/bin/sh\nread line\ncase "$line" in version*) echo whole;; *) echo "$line";; esac\n')
    program.chmod(0o755)
    tree = (await source(origin, PATH=str(programs)).refresh()).manifest.parent
    assert (tree / "model.bin").read_text() == "whole\n"
