from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from nexus.executor import GRACE, LEASE, recover
from nexus.executor.clock import timestamp
from nexus.model.addresses import Address
from nexus.model.diagnostics import error
from nexus.model.state import Intent, State
from nexus.providers import Certainty, ProviderError
from tests.fakes.clock import ManualClock
from tests.fakes.cloud import FakeCloud, FakeProvider, Thing
from tests.fakes.records import WEB, make_record

CLOCK = ManualClock()
NOW = CLOCK.now()
DRAFT = replace(make_record(WEB, "new", attributes={"template": "base"}), id="")
INTENT = Intent(key="k", address=WEB, verb="create", uid="new", started_at=timestamp(NOW), draft=DRAFT)
PENDING = State(lineage="l", serial=1, pending=(INTENT,))


def cloud_with(*ids: str, key: str = "k") -> FakeCloud:
    return FakeCloud(things={id: Thing(id, WEB, "new", key, f"2026-01-01T00:00:0{n}Z") for n, id in enumerate(ids)})


async def recovered(state: State, cloud: FakeCloud, later: timedelta = timedelta(0)) -> tuple[State, list[str]]:
    result = await recover(FakeProvider(cloud, CLOCK), state, NOW + later)
    assert result.state.verify() == ()
    return result.state, [item.code for item in result.diagnostics]


async def test_without_open_intents_nothing_is_asked() -> None:
    state = State(lineage="l")
    assert (await recover(None, state, NOW)).state is state  # type: ignore[arg-type]


async def test_what_an_interrupted_create_made_is_adopted_without_its_setup() -> None:
    state, codes = await recovered(PENDING, cloud_with("sbx"))
    record = state.resources[WEB]
    assert (record.id, record.uid, record.attributes, record.setup) == ("sbx", "new", {"template": "base"}, {})
    assert record.outputs == {"id": "sbx"}
    assert state.pending == ()
    assert codes == ["create-adopted"]


async def test_of_doubles_the_oldest_is_kept() -> None:
    cloud = cloud_with("old", "young", "youngest")
    state, codes = await recovered(PENDING, cloud)
    assert state.resources[WEB].id == "old"
    assert list(cloud.things) == ["old"]
    assert codes == ["double-removed", "double-removed", "create-adopted"]


async def test_recovering_again_after_being_cut_off_ends_the_same() -> None:
    cloud = cloud_with("old", "young")
    first = await recover(FakeProvider(cloud, CLOCK), PENDING, NOW)
    again = await recover(FakeProvider(cloud, CLOCK), PENDING, NOW)
    assert first.state == again.state


async def test_what_is_not_there_yet_is_waited_for_until_it_can_not_come_any_more() -> None:
    cloud = FakeCloud()
    for later in (timedelta(0), LEASE, LEASE + GRACE):
        assert await recovered(PENDING, cloud, later) == (PENDING, [])
    state, codes = await recovered(PENDING, cloud, LEASE + GRACE + timedelta(seconds=1))
    assert state.is_empty
    assert codes == ["create-forgotten"]


async def test_objects_of_others_are_left_alone() -> None:
    cloud = cloud_with("foreign", key="another")
    await recovered(PENDING, cloud, timedelta(hours=1))
    assert list(cloud.things) == ["foreign"]


async def test_an_adopted_one_deposes_the_incarnation_that_it_was_to_replace() -> None:
    old = make_record(WEB, "old")
    state, _ = await recovered(replace(PENDING, resources={WEB: old}), cloud_with("sbx"))
    assert state.resources[WEB].uid == "new"
    assert state.deposed == (old,)


@pytest.mark.parametrize(
    ("verb", "codes"), [("delete", []), ("install", []), ("run-step", ["interrupted-while-running"])]
)
async def test_other_intents_are_closed(verb: str, codes: list[str]) -> None:
    pending = replace(PENDING, pending=(replace(INTENT, verb=verb, draft=None),))
    assert await recovered(pending, FakeCloud()) == (replace(PENDING, pending=()), codes)


async def test_catalogue_templates_are_left_to_the_observation() -> None:
    catalogue = replace(INTENT, address=Address("catalogue", "python"), draft=None)
    cloud = cloud_with("tpl")
    assert await recovered(replace(PENDING, pending=(catalogue,)), cloud) == (replace(PENDING, pending=()), [])
    assert list(cloud.things) == ["tpl"]


async def test_when_nothing_can_be_seen_nothing_is_decided() -> None:
    class Blind(FakeProvider):
        async def find(self, state, intents):  # type: ignore[no-untyped-def]
            raise ProviderError(error("no-connection", "No connection"), Certainty.NOT_DONE)

    with pytest.raises(ProviderError):
        await recover(Blind(FakeCloud(), CLOCK), PENDING, NOW)


def made_after(id: str, seconds: int) -> State:
    current = replace(make_record(WEB, "later"), id=id, created_at=timestamp(NOW + timedelta(seconds=seconds)))
    return replace(PENDING, resources={WEB: current})


async def test_what_turns_up_after_another_was_made_in_its_place_is_removed() -> None:
    cloud = cloud_with("late")
    state, codes = await recovered(made_after("sbx", 60), cloud)
    assert (state.resources[WEB].id, state.deposed, state.pending) == ("sbx", (), ())
    assert cloud.things == {}
    assert codes == ["double-removed"]


async def test_what_turns_up_in_the_place_of_an_older_one_is_its_replacement() -> None:
    state, _ = await recovered(made_after("old", -60), cloud_with("sbx"))
    assert (state.resources[WEB].id, [record.id for record in state.deposed]) == ("sbx", ["old"])


async def test_one_object_under_two_creates_is_never_removed() -> None:
    """A template or a volume has its name from its address, so a later create answers with the same object."""
    for seconds in (60, -60):
        cloud = cloud_with("same")
        state, _ = await recovered(made_after("same", seconds), cloud)
        assert (state.resources[WEB].id, state.deposed, state.pending) == ("same", (), ())
        assert list(cloud.things) == ["same"]
