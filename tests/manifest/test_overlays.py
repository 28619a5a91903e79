"""What the file of one environment says lies over the manifest; how environments and their branches are called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nexus.manifest import Manifest, declared_environments, environment_called, overlay_files, read
from nexus.model.environments import Environment

MANIFEST = """\
apiVersion: nexus/v1
project: shop
environments: {staging: {}}
sandboxes:
  web:
    timeout: 1h
    ports: {http: 8000, debug: 9000}
    run_commands: [make, make test]
    env_vars: {MODE: dev}
  helper: {}
"""
OVERLAY = """\
sandboxes:
  web:
    timeout: 12h
    ports: {http: 80, debug: null}
    run_commands: [make]
  helper: null
  worker: {timeout: 2h}
outputs: {port: 80}
"""


def project(folder: Path, **files: str) -> Path:
    for name, text in {"nexus.yaml": MANIFEST, **files}.items():
        (folder / name).write_text(text)
    return folder


def overlaid(folder: Path, overlay: str = OVERLAY) -> Manifest:
    return read(project(folder, **{"nexus.prod.yaml": overlay}), environment="prod")


def test_mappings_are_merged_lists_replaced_and_null_takes_away(tmp_path: Path) -> None:
    found = overlaid(tmp_path)
    assert found.values["sandboxes"] == {
        "web": {"timeout": "12h", "ports": {"http": 80}, "run_commands": ["make"], "env_vars": {"MODE": "dev"}},
        "worker": {"timeout": "2h"},
    }
    assert found.values["outputs"] == {"port": 80}
    assert found.overlay == "nexus.prod.yaml"
    assert not found.diagnostics


def test_other_environments_do_not_see_it(tmp_path: Path) -> None:
    overlaid(tmp_path)
    assert read(tmp_path).values == read(tmp_path, environment="staging").values
    assert read(tmp_path).section("sandboxes")["helper"] == {}


def test_places_are_in_the_file_that_a_value_comes_from(tmp_path: Path) -> None:
    places = overlaid(tmp_path).places
    found = {
        path: str(places(path))
        for path in (
            ("sandboxes", "web", "timeout"),
            ("sandboxes", "web", "ports", "http"),
            ("sandboxes", "web", "env_vars", "MODE"),
            ("sandboxes", "web"),
            ("sandboxes", "worker"),
        )
    }
    assert list(found.values()) == [
        "nexus.prod.yaml:3:14",
        "nexus.prod.yaml:4:19",
        "nexus.yaml:9:22",
        "nexus.yaml:5:3",
        "nexus.prod.yaml:7:3",
    ]


@pytest.mark.parametrize(
    ("overlay", "codes"),
    [
        ("include: more.yaml", ["overlay-key"]),
        ("environments: {x: {}}", ["overlay-key"]),
        ("project: other", ["conflicting-files"]),
        ("project: shop\napiVersion: nexus/v1", []),
        ("- 1", ["wrong-type"]),
        ("a: [", ["yaml-syntax"]),
        ("", []),
    ],
)
def test_what_an_overlay_may_not_say_is_refused_at_its_place(tmp_path: Path, overlay: str, codes: list[str]) -> None:
    found = overlaid(tmp_path, overlay).diagnostics
    assert [item.code for item in found] == codes
    assert all(item.range is not None and item.range.file == "nexus.prod.yaml" for item in found)


def test_a_file_declares_its_environment(tmp_path: Path) -> None:
    found = overlaid(tmp_path)
    assert declared_environments(found) == ("default", "prod", "staging")
    assert overlay_files(found) == {"prod": "nexus.prod.yaml"}


def test_a_branch_has_a_name_of_its_own() -> None:
    assert Environment.parse("prod").name == "prod"
    assert Environment.parse("preview/login").name == "preview-login"
    assert re.fullmatch("preview-feature-login-[0-9a-f]{6}", Environment.parse("preview/feature/Login").name)
    assert Environment.parse("preview/login").base == "preview"


def test_branches_that_look_alike_are_told_apart() -> None:
    assert len({Environment.parse(f"preview/{branch}").name for branch in ("a/b", "a-b", "A-B", "a_b")}) == 4


def test_a_name_tells_whose_branch_it_is() -> None:
    known = ("default", "preview", "preview-eu")
    assert environment_called("preview-eu", known) == Environment("preview-eu")
    assert environment_called("preview-eu-login", known) == Environment("preview-eu", "login")
    assert environment_called("preview-login", known) == Environment("preview", "login")
    assert environment_called("other", known) == Environment("other")
