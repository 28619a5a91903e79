from __future__ import annotations

from dataclasses import replace

from nexus.model.addresses import Address
from nexus.model.state import FileEntry, Intent, State
from nexus.stores import Begin, Done, Failed, Folding, fold
from nexus.stores.fold import without_unused_trees
from tests.fakes.records import WEB, make_record

OLD, NEW = make_record(WEB, "old"), make_record(WEB, "new")
INTENT = Intent(key="k", address=WEB, verb="create", uid="new", draft=replace(NEW, id=""))
EMPTY = State(lineage="l")
WITH_OLD = State(lineage="l", resources={WEB: OLD})


def test_nothing_happened_is_the_same_state() -> None:
    assert fold(WITH_OLD, []) is WITH_OLD


def test_an_intent_is_pending_until_its_effect_is_done() -> None:
    assert fold(EMPTY, [Begin(INTENT)]).pending == (INTENT,)
    done = fold(EMPTY, [Begin(INTENT), Done(key="k", record=NEW)])
    assert done.pending == ()
    assert done.resources == {WEB: NEW}


def test_a_failure_closes_its_intent_unless_the_outcome_is_not_known() -> None:
    failed = Failed(key="k", code="c", summary="s")
    assert fold(EMPTY, [Begin(INTENT), failed]).pending == ()
    assert fold(EMPTY, [Begin(INTENT), replace(failed, unresolved=True)]).pending == (INTENT,)


def test_a_failure_takes_in_what_is_out_there_nevertheless() -> None:
    partial = replace(OLD, setup={"apt": "1"})
    assert fold(WITH_OLD, [Failed(key="k", code="c", summary="s", record=partial)]).resources[WEB] == partial


def test_a_repeated_begin_replaces_the_intent() -> None:
    later = replace(INTENT, started_at="2026-01-01T00:00:00Z")
    assert fold(EMPTY, [Begin(INTENT), Begin(later)]).pending == (later,)


def test_a_create_beside_a_living_incarnation_deposes_it() -> None:
    state = fold(WITH_OLD, [Begin(INTENT), Done(key="k", record=NEW)])
    assert state.resources == {WEB: NEW}
    assert state.deposed == (OLD,)
    assert state.verify() == ()


def test_deleting_a_deposed_incarnation_leaves_the_current_one() -> None:
    state = fold(WITH_OLD, [Done(key="k", record=NEW), Done(key="d", removed="old")])
    assert (state.resources, state.deposed) == ({WEB: NEW}, ())


def test_deleting_the_current_incarnation_leaves_the_deposed_one() -> None:
    state = fold(WITH_OLD, [Done(key="k", record=NEW), Done(key="d", removed="new")])
    assert (state.resources, state.deposed) == ({}, (OLD,))


def test_a_late_record_of_a_deposed_incarnation_does_not_become_current() -> None:
    late = replace(OLD, setup={"x": "1"})
    state = fold(WITH_OLD, [Done(key="k", record=NEW), Done(key="l", record=late)])
    assert (state.resources, state.deposed) == ({WEB: NEW}, (late,))


def test_removing_what_is_not_there_does_nothing() -> None:
    assert fold(WITH_OLD, [Done(key="d", removed="unheard-of")]).resources == {WEB: OLD}


def test_catalogue_templates_never_get_into_a_state() -> None:
    record = make_record(Address("catalogue", "python"), "u")
    assert fold(EMPTY, [Done(key="k", record=record)]).is_empty


def test_folding_twice_is_folding_once() -> None:
    entries = [Begin(INTENT), Done(key="k", record=NEW), Done(key="d", removed="old")]
    once = fold(WITH_OLD, entries)
    assert fold(once, entries) == once


def test_folding_in_parts_is_folding_at_once() -> None:
    entries = [Begin(INTENT), Done(key="k", record=NEW), Begin(replace(INTENT, key="k2")), Done(key="d", removed="old")]
    for cut in range(len(entries) + 1):
        assert fold(fold(WITH_OLD, entries[:cut]), entries[cut:]) == fold(WITH_OLD, entries)


def test_a_folding_answers_before_it_is_a_state() -> None:
    folding = Folding(WITH_OLD)
    folding.apply(Begin(INTENT))
    assert list(folding.pending(WEB)) == [INTENT]
    folding.apply(Done(key="k", record=NEW))
    assert folding.record(WEB) == NEW
    assert folding.incarnation(WEB, "old") == OLD
    assert folding.incarnation(WEB, "unheard-of") is None


def test_trees_that_nothing_names_are_dropped() -> None:
    tree = {"": FileEntry("d", 0o644, 1)}
    using = make_record(WEB, "u", attributes={"uploads": [{"path": "/x", "tree": "t1"}]})
    drafted = replace(INTENT, draft=make_record(WEB, "d", attributes={"uploads": [{"tree": "t3"}]}))
    state = State(lineage="l", resources={WEB: using}, pending=(drafted,), trees={"t1": tree, "t2": tree, "t3": tree})
    assert set(without_unused_trees(state).trees) == {"t1", "t3"}
