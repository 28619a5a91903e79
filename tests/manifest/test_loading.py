"""Projects: their folder, their files, and one merged manifest."""

from pathlib import Path

import pytest

from nexus import manifest
from nexus.manifest import find_project
from nexus.model.diagnostics import DiagnosticsError

HEAD = "apiVersion: nexus/v1\nproject: p\n"


def write(root: Path, **files: str) -> None:
    for name, content in files.items():
        path = root / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def codes(read: manifest.Manifest) -> list[str]:
    return [item.code for item in read.diagnostics]


def test_a_project_is_found_by_folder_by_file_and_from_below(tmp_path: Path):
    write(tmp_path, nexus=HEAD, other=HEAD)
    (tmp_path / "src" / "deep").mkdir(parents=True)
    for path in (tmp_path, tmp_path / "nexus.yaml", tmp_path / "src" / "deep"):
        assert find_project(path) == tmp_path / "nexus.yaml"
    assert find_project(tmp_path / "other.yaml") == tmp_path / "other.yaml"


def test_no_project_is_an_error_that_says_what_to_do(tmp_path: Path):
    (tmp_path / "nexus.yml").write_text(HEAD)
    with pytest.raises(DiagnosticsError) as caught:
        find_project(tmp_path)
    assert [(item.code, item.hint) for item in caught.value.diagnostics] == [("no-project", "rename nexus.yml")]
    with pytest.raises(DiagnosticsError):
        find_project(tmp_path / "missing")


def test_included_files_are_merged_by_section(tmp_path: Path):
    write(
        tmp_path,
        nexus=HEAD + "include: [parts/*.yaml, more.yaml]\nsandboxes: {a: {timeout: 1h}}\noutputs:\n",
        parts__b="apiVersion: nexus/v1\nsandboxes: {b: {}}\nx-mine: 1\n",
        parts__c="volumes: {c: {}}\ninclude: deep/d.yaml\n",
        deep__d="sandboxes:\n  d: {timeout: 2h}\n",
        more="outputs: {o: {value: 1}}\n",
    )
    read = manifest.read(tmp_path)
    assert not read.diagnostics
    assert read.files == ("nexus.yaml", "parts/b.yaml", "parts/c.yaml", "deep/d.yaml", "more.yaml")
    assert list(read.section("sandboxes")) == ["a", "b", "d"]
    assert read.section("volumes") == {"c": {}}
    assert read.section("outputs") == {"o": {"value": 1}}
    assert str(read.places(("sandboxes", "d", "timeout"))) == "deep/d.yaml:2:16"
    assert str(read.places(("sandboxes", "a", "timeout"))) == "nexus.yaml:4:26"


def test_a_name_in_two_files_shows_both_places(tmp_path: Path):
    write(tmp_path, nexus=HEAD + "include: [b.yaml]\nsandboxes: {a: {}}\n", b="sandboxes:\n  a: {}\n")
    (problem,) = manifest.read(tmp_path).diagnostics
    assert problem.code == "duplicate-name"
    assert str(problem.range) == "b.yaml:2:3"
    assert "nexus.yaml:4:13" in problem.detail


def test_files_must_agree_on_what_there_is_only_one_of(tmp_path: Path):
    write(
        tmp_path,
        nexus=HEAD + "include: [b.yaml]\nprovider: {target: local}\n",
        b="project: q\nprovider: {target: e2b}\nsandboxes: []\n",
    )
    assert codes(manifest.read(tmp_path)) == ["conflicting-files", "duplicate-section"]


def test_a_missing_include_is_an_error_and_an_empty_glob_a_warning(tmp_path: Path):
    write(tmp_path, nexus=HEAD + "include: [no.yaml, 'no/*.yaml', /etc/passwd, ../x.yaml, 3]\n")
    read = manifest.read(tmp_path)
    assert [(item.severity, item.code) for item in read.diagnostics] == [
        ("error", "include-not-found"),
        ("warning", "include-matches-nothing"),
        ("error", "outside-project"),
        ("error", "outside-project"),
        ("error", "wrong-type"),
    ]


def test_an_include_may_not_leave_the_project_through_a_link(tmp_path: Path):
    write(tmp_path, outside="sandboxes: {x: {}}\n", project__nexus=HEAD + "include: [link.yaml]\n")
    (tmp_path / "project" / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    read = manifest.read(tmp_path / "project")
    assert codes(read) == ["outside-project"]
    assert read.section("sandboxes") == {}


def test_files_that_include_each_other_are_read_once(tmp_path: Path):
    write(tmp_path, nexus=HEAD + "include: ['*.yaml']\n", b="include: [nexus.yaml, b.yaml]\nsandboxes: {b: {}}\n")
    read = manifest.read(tmp_path)
    assert read.files == ("nexus.yaml", "b.yaml")
    assert not read.diagnostics


def test_errors_of_all_files_are_collected(tmp_path: Path):
    write(tmp_path, nexus=HEAD + "include: [b.yaml, c.yaml]\na: 1\na: 2\n", b="x: [", c="- 1\n")
    assert sorted(codes(manifest.read(tmp_path))) == ["duplicate-key", "wrong-type", "yaml-syntax"]
