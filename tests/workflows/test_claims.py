"""Which live sandbox is which resource, when forks bear the marks of their source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus.model.addresses import Address
from nexus.model.state import ResourceRecord, State
from nexus.providers.base import Live
from nexus.workflows.claims import claims, copies_left_alone

WEB, COPY, API = (Address.parse(f"sandbox.{name}") for name in ("web", "copy", "api"))
ORIGINAL = Live(address=WEB, id="original", uid="u1")
FORK = Live(address=WEB, id="fork", uid="u1")


def state_of(*records: ResourceRecord, deposed: tuple[ResourceRecord, ...] = ()) -> State:
    return State(lineage="l", resources={record.address: record for record in records}, deposed=deposed)


def record(address: Address, sandbox_id: str, uid: str = "u1") -> ResourceRecord:
    return ResourceRecord(address=address, id=sandbox_id, uid=uid)


def told(found: dict[Address, list[Live]]) -> dict[str, list[str]]:
    return {str(address): [item.id for item in items] for address, items in found.items()}


@pytest.mark.parametrize("order", [(ORIGINAL, FORK), (FORK, ORIGINAL)])
@pytest.mark.parametrize(
    ("original", "fork", "prior"),
    [
        (False, None, None),
        (None, True, None),
        (None, None, state_of(record(WEB, "original"))),
        (None, None, state_of(deposed=(record(WEB, "original"),))),
    ],
)
def test_a_fork_is_never_taken_for_its_source(
    order: tuple[Live, Live], original: bool | None, fork: bool | None, prior: State | None
) -> None:
    live = [replace(item, is_copy=original if item is ORIGINAL else fork) for item in order]
    found = claims(live, prior, {}, {WEB})
    assert told(found.live) == {"sandbox.web": ["original"]}
    assert [item.id for item, _ in found.copies] == ["fork"]


@pytest.mark.parametrize("prior", [None, state_of(), state_of(record(WEB, "original"))])
def test_what_bears_the_mark_of_what_was_taken_is_no_member_of_its_pool_whatever_is_remembered(
    prior: State | None,
) -> None:
    taken = replace(ORIGINAL, is_taken=True)
    found = claims([taken, replace(FORK, uid="u2")], prior, {}, {WEB})
    assert told(found.live) == {'sandbox.web["taken-original"]': ["original"], "sandbox.web": ["fork"]}


def test_where_nothing_tells_the_oldest_is_the_source_and_no_other_is_a_leftover() -> None:
    found = claims([ORIGINAL, FORK], None, {}, {WEB})
    assert told(found.live) == {"sandbox.web": ["original"]}
    assert [(item.id, source) for item, source in found.copies] == [("fork", "original")]


@pytest.mark.parametrize("prior", [None, state_of(record(WEB, "original"))])
def test_a_fork_that_has_outlived_its_source_is_not_taken_for_it(prior: State | None) -> None:
    found = claims([replace(FORK, is_copy=None if prior else True)], prior, {}, {WEB})
    assert (found.live, [item.id for item, _ in found.copies]) == ({}, ["fork"])


def test_incarnations_with_marks_of_their_own_are_no_forks() -> None:
    found = claims([ORIGINAL, replace(FORK, uid="u2")], None, {}, {WEB})
    assert told(found.live) == {"sandbox.web": ["original", "fork"]}


def test_a_fork_that_was_imported_is_what_the_state_says() -> None:
    prior = state_of(record(WEB, "original"), record(COPY, "fork", "u2"))
    assert told(claims([ORIGINAL, FORK], prior, {}, {WEB, COPY}).live) == {
        "sandbox.web": ["original"],
        "sandbox.copy": ["fork"],
    }


def test_what_was_renamed_in_the_state_keeps_its_new_address_and_the_old_one_can_be_another() -> None:
    prior = state_of(record(API, "original"), record(WEB, "newer", "u2"))
    live = [ORIGINAL, Live(address=WEB, id="newer", uid="u2")]
    assert told(claims(live, prior, {}, {WEB, API}).live) == {"sandbox.api": ["original"], "sandbox.web": ["newer"]}


def test_an_address_that_the_manifest_does_not_know_is_not_preferred() -> None:
    assert told(claims([ORIGINAL], state_of(record(API, "original")), {}, {WEB}).live) == {"sandbox.web": ["original"]}


def test_moves_hold_for_marks_and_for_what_the_state_says() -> None:
    twin = Address.parse("sandbox.twin")
    moves = {WEB: API, COPY: twin}
    prior = state_of(record(COPY, "fork", "u2"))
    found = claims([ORIGINAL, FORK], prior, moves, {API, twin})
    assert told(found.live) == {"sandbox.api": ["original"], "sandbox.twin": ["fork"]}


def test_forks_are_told_together() -> None:
    forks = [replace(FORK, id=f"fork-{number}") for number in range(3)]
    (warning,) = copies_left_alone(claims([ORIGINAL, *forks], None, {}, {WEB}).copies)
    assert warning.address == "sandbox.web"
    assert warning.detail.startswith("fork-0, fork-1, fork-2 say the same of themselves as sandbox.web (original).")
