"""Which instances of a block share their setup, and which parts of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nexus.graph import DesiredGraph
from nexus.kinds.shared_setup import SHARED_FIELDS
from nexus.model.addresses import Address
from nexus.model.expressions import Raw
from tests.fakes.manifests import graph_of

SETUP = Address("setup", "w")


def block(fields: str) -> DesiredGraph:
    return graph_of(
        "templates: {t: {}}\nvolumes: {v: {}}\nsandboxes:\n  w:\n    count: 3\n"
        + "".join(f"    {line}\n" for line in fields.splitlines())
    )


def shared(fields: str) -> list[str]:
    graph = block(fields)
    assert not graph.has_errors, graph.diagnostics
    spec = graph.resources.get(SETUP)
    attributes: Mapping[str, Raw] = {} if spec is None else spec.attributes
    return [name for name in SHARED_FIELDS if name in attributes]


def test_what_is_alike_is_shared_and_waits_for_what_it_needs() -> None:
    graph = block("template: ${{ template.t }}\npackages: {pip: [six]}\nenv_vars: {A: '${{ each.key }}'}")
    assert graph.resources[SETUP].depends_on == (Address("template", "t"),)
    for key in "012":
        assert SETUP in graph.resources[Address("sandbox", "w", key)].depends_on


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            "packages: [six]\nuploads: [{path: /a, content: b}]\nrun_commands: [make]",
            ["packages", "uploads", "run_commands"],
        ),
        ("packages: [six]\nrun_commands: ['echo ${{ each.key }}']", ["packages"]),
        ("packages: ['${{ each.key }}']\nrun_commands: [make]", []),
        ("packages: [six]\nenv_vars: {A: '${{ each.key }}'}\nrun_commands: [make]", ["packages"]),
        ("packages: [six]\nenv_vars: {PIP_INDEX_URL: '${{ each.key }}'}", []),
        ("packages: [six]\nenv_vars: {https_proxy: '${{ each.key }}'}", []),
        (
            "packages: [six]\nvolumes: {/data: v}\nuploads: [{path: /data/a, content: b}]\nrun_commands: [make]",
            ["packages"],
        ),
        ("packages: [six]\ntemplate: '${{ each.key }}'", []),
        ("packages: [six]\nsetup: each", []),
        ("startup_script: make", []),
        ("uploads: [{path: /a, content: b}]", []),
        ("uploads: [{path: /a, content: b}]\nsetup: shared", ["uploads"]),
    ],
)
def test_only_what_no_instance_has_for_itself_is_shared(fields: str, expected: list[str]) -> None:
    assert shared(fields) == expected


def test_a_single_sandbox_shares_with_nobody() -> None:
    assert SETUP not in graph_of("sandboxes: {w: {packages: [six]}}").resources


def test_an_instance_that_others_need_is_not_made_to_wait_for_itself() -> None:
    graph = graph_of("""
sandboxes:
  w: {count: 2, packages: [six], uploads: [{path: /a, content: '${{ sandbox.v["0"].id }}'}]}
  v: {count: 3, packages: [six]}
""")
    assert not graph.has_errors, graph.diagnostics
    assert graph.resources[SETUP].depends_on == (Address("catalogue", "base"), Address("sandbox", "v", "0"))


def test_asking_to_share_what_differs_is_an_error_with_its_place() -> None:
    (found,) = block("packages: ['${{ each.key }}']\nsetup: shared").diagnostics
    assert (found.code, found.address) == ("nothing-to-share", "sandbox.w")
    assert found.range is not None
