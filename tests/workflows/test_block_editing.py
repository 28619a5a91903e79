"""What changes to a sandbox come to in its block."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from nexus.manifest import NotEditable, read_yaml
from nexus.workflows.block_editing import Block
from nexus.workflows.configuring import Changes

MANIFEST = """\
sandboxes:
  web:
    template: python
    env_vars: {STAGE: dev, PORT: 8080}
    packages:
      - httpx==0.27   # the client
      - apt:jq
    network: {internet: false, allow: [pypi.org]}
  api:
    packages: {pip: [httpx], npm: [left-pad]}
  bare: {template: base}
"""


def edited(name: str = "web", language: str = "python", **changes: Any) -> list[str]:
    document = read_yaml(MANIFEST).value
    assert isinstance(document, dict)
    block = Block(MANIFEST, name, document["sandboxes"][name], language)  # type: ignore[index, call-overload]
    after = block.edit(Changes(**changes))
    lines = difflib.unified_diff(MANIFEST.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_variables_are_set_and_unset_where_they_stand() -> None:
    assert edited(env_vars={"STAGE": "prod", "NEW": "yes"}, unset=["PORT"]) == [
        "-    env_vars: {STAGE: dev, PORT: 8080}",
        '+    env_vars: {STAGE: prod, NEW: "yes"}',
    ]


def test_numbers_and_booleans_are_written_as_such_unless_they_were_texts() -> None:
    assert edited(env_vars={"PORT": "9090", "STAGE": "7", "DEBUG": "true", "ID": "007"})[1] == (
        '+    env_vars: {STAGE: "7", PORT: 9090, DEBUG: true, ID: "007"}'
    )


def test_a_variable_that_says_so_already_is_left_alone() -> None:
    assert edited(env_vars={"PORT": "8080", "STAGE": "dev"}) == []


def test_a_value_that_looks_like_an_expression_means_itself() -> None:
    assert edited("bare", env_vars={"TEXT": "${{ x }}"}) == [
        "-  bare: {template: base}",
        '+  bare: {template: base, env_vars: {TEXT: "$${{ x }}"}}',
    ]


def test_a_secret_is_named_and_its_value_never_written() -> None:
    from nexus.model.values import Sensitive

    lines = edited("bare", env_vars={"KEY": Sensitive("hidden")}, secrets={"KEY": "token"})
    assert lines[1] == '+  bare: {template: base, env_vars: {KEY: "${{ secrets.token }}"}}'


def test_a_package_of_another_version_takes_the_place_of_the_old_one() -> None:
    assert edited(install=["httpx==0.28"]) == [
        "-      - httpx==0.27   # the client",
        "+      - httpx==0.28   # the client",
    ]
    assert edited(install=["pip:httpx==0.28", "apt:jq"])[1:] == ["+      - httpx==0.28   # the client"]


def test_packages_go_to_the_list_of_their_manager() -> None:
    assert edited(install=["apt:git", "six"]) == ["+      - apt:git", "+      - six"]
    assert edited("api", install=["six", "npm:is-odd", "apt:jq"])[1] == (
        "+    packages: {pip: [httpx, six], npm: [left-pad, is-odd], apt: [jq]}"
    )


def test_packages_are_taken_out_by_name() -> None:
    assert edited(uninstall=["httpx"]) == ["-      - httpx==0.27   # the client"]
    assert edited("api", uninstall=["npm:left-pad"])[1] == "+    packages: {pip: [httpx]}"
    with pytest.raises(NotEditable, match="do not list six"):
        edited(uninstall=["six"])
    with pytest.raises(NotEditable, match="do not list jq"):
        edited(uninstall=["jq"])


def test_commands_come_after_those_that_are_there() -> None:
    assert edited(run_commands=["echo one", "cd /app\nmake\n"]) == [
        "+    run_commands:",
        "+      - echo one",
        "+      - |",
        "+        cd /app",
        "+        make",
    ]


def test_the_network_is_changed_in_its_own_words() -> None:
    assert edited(allow=["pypi.org", "1.1.1.1"])[1] == "+    network: {internet: false, allow: [pypi.org, 1.1.1.1]}"
    assert edited(internet=True)[1] == "+    network: {internet: true}"
    assert edited("bare", internet=False, deny=["10.0.0.0/8"])[1] == (
        "+  bare: {template: base, network: {internet: false, deny: [10.0.0.0/8]}}"
    )
