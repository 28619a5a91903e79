"""Addresses that changed: renames of renames, instances and their blocks, and circles."""

from __future__ import annotations

import pytest

from nexus.model.addresses import Address, address_now, circular_moves
from nexus.model.diagnostics import DiagnosticsError
from nexus.planning import moved
from tests.fakes.applier import World, actions


def moves(**pairs: str) -> dict[Address, Address]:
    return {Address.parse(old): Address.parse(new) for old, new in pairs.items()}


CHAIN = moves(**{"sandbox.a": "sandbox.b", "sandbox.b": "sandbox.c"})
MIXED = moves(
    **{
        "sandbox.w": "sandbox.n",
        'sandbox.w["y"]': 'sandbox.n["z"]',
        'sandbox.n["z"]': 'sandbox.m["q"]',
        "sandbox.one": 'sandbox.m["one"]',
    }
)


@pytest.mark.parametrize(
    ("old", "known", "new"),
    [
        ("sandbox.a", CHAIN, "sandbox.c"),
        ("sandbox.b", CHAIN, "sandbox.c"),
        ("sandbox.c", CHAIN, "sandbox.c"),
        ('sandbox.a["0"]', CHAIN, 'sandbox.c["0"]'),
        ('sandbox.w["x"]', MIXED, 'sandbox.n["x"]'),
        ('sandbox.w["y"]', MIXED, 'sandbox.m["q"]'),
        ("sandbox.one", MIXED, 'sandbox.m["one"]'),
        ("setup.a", CHAIN, "setup.a"),
    ],
)
def test_what_was_renamed_goes_all_the_way(old: str, known: dict[Address, Address], new: str) -> None:
    now = address_now(Address.parse(old), known)
    assert str(now) == new
    assert address_now(now, known) == now


@pytest.mark.parametrize(
    "pairs",
    [
        {"sandbox.a": "sandbox.a"},
        {"sandbox.a": "sandbox.b", "sandbox.b": "sandbox.a"},
        {"sandbox.a": "sandbox.b", "sandbox.b": "sandbox.c", "sandbox.c": "sandbox.a"},
        {"sandbox.a": "sandbox.b", 'sandbox.b["0"]': 'sandbox.a["0"]'},
    ],
)
def test_circles_are_told(pairs: dict[str, str]) -> None:
    assert {str(address) for address in circular_moves(moves(**pairs))} == set(pairs)


def test_what_leads_nowhere_twice_is_no_circle() -> None:
    assert [*circular_moves({**CHAIN, **MIXED})] == []


def test_a_state_of_before_two_renames_is_understood() -> None:
    world = World()
    world.apply("sandboxes: {a: {metadata: {m: x}}}")
    manifest = "sandboxes: {c: {metadata: {m: x}}}"
    world.state = moved(world.state, CHAIN)
    assert actions(world.plan(manifest)) == {}
    assert moved(world.state, CHAIN) is world.state


def test_two_do_not_become_one() -> None:
    world = World()
    world.apply("sandboxes: {a: {}, b: {}}")
    with pytest.raises(DiagnosticsError, match="cannot-move"):
        moved(world.state, CHAIN)
