"""The sections ``import`` and ``removed``, and what is wrong with them."""

from __future__ import annotations

import pytest

from nexus.graph import build
from nexus.model.addresses import Address
from tests.fakes.manifests import inputs_of

PET = Address("sandbox", "pet")


def test_the_id_of_an_import_may_be_an_expression_of_what_is_known() -> None:
    graph = build(
        inputs_of(
            'sandboxes: {pet: {}}\nimport: [{to: sandbox.pet, id: "${{ vars.who }}1"}]\n', variables={"who": "iabc"}
        )
    )
    assert not graph.has_errors
    assert graph.imports[PET].id == "iabc1"
    assert graph.imports[PET].source is not None


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("sandboxes: {pet: {}}\nimport: [{to: sandbox.pit, id: x}]", "invalid-import", "no block for sandbox.pit"),
        ("volumes: {v: {}}\nimport: [{to: volume.v, id: x}]", "invalid-import", "volume can't be imported"),
        ("sandboxes: {pet: {count: 2}}\nimport: [{to: sandbox.pet, id: x}]", "invalid-import", "no block"),
        (
            "sandboxes: {pet: {}, b: {}}\nimport: [{to: sandbox.pet, id: x}, {to: sandbox.b, id: x}]",
            "invalid-import",
            "x is imported twice",
        ),
        (
            "sandboxes: {pet: {}}\nimport: [{to: sandbox.pet, id: x}, {to: sandbox.pet, id: y}]",
            "invalid-import",
            "sandbox.pet is imported twice",
        ),
        (
            'sandboxes: {pet: {}, b: {}}\nimport: [{to: sandbox.pet, id: "${{ sandbox.b.id }}"}]',
            "not-known-before-apply",
            "known before apply",
        ),
        ("sandboxes: {pet: {}}\nremoved: [{from: sandbox.pet}]", "removed-and-declared", "still has a block"),
        ("sandboxes: {pet: {}}\nmoved: {sandbox.pet: sandbox.cat}", "moved-and-declared", "still has a block"),
        ("sandboxes: {pet: {count: 2}}\nmoved: {sandbox.pet: sandbox.cat}", "moved-and-declared", "still has a block"),
        (
            "sandboxes: {pet: {count: 2}}\nmoved: {'sandbox.pet[\"1\"]': sandbox.cat}",
            "moved-and-declared",
            'sandbox.pet["1"] is said to be moved to sandbox.cat, and still has a block',
        ),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place(text: str, code: str, said: str) -> None:
    (found,) = build(inputs_of(text)).diagnostics
    assert found.code == code
    assert said in found.summary
    assert found.range is not None


def test_what_is_removed_is_destroyed_unless_it_says_otherwise() -> None:
    graph = build(inputs_of("removed: [{from: sandbox.a}, {from: sandbox.b, lifecycle: {destroy: false}}]"))
    assert [(str(item.address), item.destroy) for item in graph.removed] == [("sandbox.a", True), ("sandbox.b", False)]


@pytest.mark.parametrize(
    "text",
    [
        "sandboxes: {pet: {count: 2}}\nmoved: {sandbox.pet: 'sandbox.pet[\"0\"]'}",
        "sandboxes: {pet: {}}\nmoved: {'sandbox.pet[\"0\"]': sandbox.pet}",
        "sandboxes: {pet: {count: 1}}\nmoved: {'sandbox.pet[\"1\"]': 'sandbox.pet[\"0\"]'}",
        "sandboxes: {cat: {}}\nmoved: {sandbox.pet: sandbox.dog, sandbox.dog: sandbox.cat}",
    ],
)
def test_a_block_may_become_one_of_many_and_the_other_way_round(text: str) -> None:
    assert not build(inputs_of(text)).diagnostics
