"""Which changes to a sandbox can be put into its block, without any sandbox being there."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.values import Sensitive
from nexus.workflows.configuring import Changes
from nexus.workflows.loading import LoadRequest, load
from nexus.workflows.writing_back import Edit, edit_block

MANIFEST = """\
apiVersion: nexus/v1
project: shop
include: [more.yaml]
variables:
  env: {type: map, default: {}}
  packages: {type: list, default: [httpx]}
  level: {type: string, default: info}
  open: {type: boolean, default: true}
secrets:
  token: {env: TOKEN}
  other: {env: OTHER}
sandboxes:
  web: {template: python, env_vars: {STAGE: dev}}
  pool: {count: 2}
  single: {count: 1}
  computed: {env_vars: "${{ vars.env }}"}
  base: &base {template: python, env_vars: &common {REGION: eu}}
  alike: {template: python, env_vars: *common}
  merged: {<<: *base, timeout: 10m}
  levelled:
    template: python
    packages: "${{ vars.packages }}"
    env_vars:
      LEVEL: ${{ vars.level }}
      TOKEN: ${{ secrets.token }}
    network: {internet: "${{ vars.open }}"}
"""
INCLUDED = """\
# in a file of its own
sandboxes:
  far:
    env_vars: {STAGE: dev}
"""


def edit(folder: Path, text: str, changes: Changes) -> Edit:
    (folder / "nexus.yaml").write_text(MANIFEST)
    (folder / "more.yaml").write_text(INCLUDED)
    request = LoadRequest(path=folder)
    return edit_block(request, load(request), Address.parse(text), "python", changes)


def refusal(folder: Path, text: str, changes: Changes) -> tuple[str, str]:
    with pytest.raises(DiagnosticsError) as raised:
        edit(folder, text, changes)
    assert (folder / "nexus.yaml").read_text() == MANIFEST
    first = raised.value.diagnostics[0]
    return first.code, f"{first.summary} {first.detail}"


SET = Changes(env_vars={"A": "1"})


def test_a_block_is_edited_in_the_file_that_it_stands_in(tmp_path: Path) -> None:
    edited = edit(tmp_path, "sandbox.far", Changes(env_vars={"STAGE": "prod"}))
    assert (edited.file, edited.before) == ("more.yaml", INCLUDED)
    assert edited.after == INCLUDED.replace("dev", "prod")
    assert edited.project.desired.resources[Address.parse("sandbox.far")].attributes["env_vars"] == {"STAGE": "prod"}
    assert (tmp_path / "more.yaml").read_text() == INCLUDED


def test_the_only_instance_of_a_block_is_as_good_as_the_block(tmp_path: Path) -> None:
    assert "single: {count: 1, env_vars: {A: " in edit(tmp_path, 'sandbox.single["0"]', SET).after


def test_a_secret_may_take_the_place_of_another(tmp_path: Path) -> None:
    changes = Changes(env_vars={"TOKEN": Sensitive("x")}, secrets={"TOKEN": "other"})
    assert "      TOKEN: ${{ secrets.other }}\n" in edit(tmp_path, "sandbox.levelled", changes).after


def test_a_refusal_shows_the_place_that_has_to_be_edited(tmp_path: Path) -> None:
    def place(address: str, changes: Changes) -> str:
        with pytest.raises(DiagnosticsError) as raised:
            edit(tmp_path, address, changes)
        found = raised.value.diagnostics[0].range
        assert found is not None
        return MANIFEST.splitlines()[found.start.line - 1].strip()

    assert place('sandbox.pool["0"]', SET) == "pool: {count: 2}"
    assert place("sandbox.levelled", Changes(env_vars={"LEVEL": "debug"})) == "LEVEL: ${{ vars.level }}"
    assert place("sandbox.levelled", Changes(install=["six"])).startswith("packages:")


@pytest.mark.parametrize(
    ("address", "changes", "code", "words"),
    [
        ('sandbox.pool["0"]', SET, "not-editable", "2 instances"),
        ("sandbox.base", SET, "not-editable", "anchor"),
        ("sandbox.alike", SET, "not-editable", "alias"),
        ("sandbox.merged", SET, "not-editable", "anchor, an alias or a merge"),
        ("sandbox.merged", Changes(unset=["REGION"]), "not-editable", "env_vars is not written there"),
        ("sandbox.levelled", Changes(env_vars={"LEVEL": "debug"}), "not-editable", "env_vars.LEVEL is an expression"),
        ("sandbox.levelled", Changes(env_vars={"TOKEN": "x"}), "not-editable", "env_vars.TOKEN is an expression"),
        ("sandbox.levelled", Changes(install=["six"]), "not-editable", "packages is an expression"),
        ("sandbox.levelled", Changes(uninstall=["httpx"]), "not-editable", "packages is an expression"),
        ("sandbox.levelled", Changes(internet=False), "not-editable", "network.internet is an expression"),
        ("sandbox.computed", SET, "not-editable", "expression"),
        ("sandbox.gone", SET, "not-editable", "no block"),
        ("sandbox.web", Changes(unset=["NOT_THERE"]), "not-editable", "comes from elsewhere"),
        ("sandbox.web", Changes(uninstall=["six"]), "not-editable", "do not list six"),
        ("sandbox.web", Changes(env_vars={"KEY": Sensitive("hidden-value")}), "secret-in-manifest", "KEY"),
        ("sandbox.web", Changes(deny=["example.com"]), "invalid-value", "network"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_what_can_not_be_written_is_refused(
    tmp_path: Path, address: str, changes: Changes, code: str, words: str
) -> None:
    found, text = refusal(tmp_path, address, changes)
    assert found == code
    assert words in text
    assert "hidden-value" not in text
