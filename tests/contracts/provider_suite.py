"""What every provider promises the executor: subclass it, and give it a provider and a way to make subjects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nexus.model.changes import Verb
from nexus.model.observation import Presence
from nexus.model.state import Intent, State
from nexus.providers import Certainty, Found, Gone, Provider
from tests.providers.subject import Subject, secret

Make = Callable[[str], Subject]


class ProviderSuite:
    """Subclasses have the fixtures ``provider`` and ``make``; a subject made is cleaned up by who made it."""

    async def test_it_says_what_it_talks_to(self, provider: Provider) -> None:
        assert (await provider.identity()).kind in ("local", "e2b")

    async def test_a_create_leaves_a_record_of_what_it_did_and_no_more(self, make: Make) -> None:
        web = make("sandbox.web").declare(env_vars={"STAGE": "one"}, run_commands=["true"])
        result = await web.do(Verb.CREATE)
        assert result.record.id
        assert result.record.uid == web.uid
        assert result.record.outputs["id"] == result.record.id
        assert set(result.record.setup) == {"env"}
        assert not {"timeout", "run_commands"} & result.record.attributes.keys()

    async def test_the_same_create_again_answers_with_the_same_object(self, make: Make, provider: Provider) -> None:
        web = make("sandbox.web").declare()
        first = await web.do(Verb.CREATE, key="one-key")
        web.record = None
        second = await web.do(Verb.CREATE, key="one-key")
        assert first.record.id == second.record.id

    async def test_another_key_makes_another_object(self, make: Make) -> None:
        first, second = make("sandbox.web").declare(), make("sandbox.web").declare()
        await first.do(Verb.CREATE)
        await second.do(Verb.CREATE)
        assert first.record.id != second.record.id

    async def test_what_a_create_made_is_found_by_its_key(self, make: Make, provider: Provider) -> None:
        web = make("sandbox.web").declare()
        await web.do(Verb.CREATE, key="found-key")
        found = await provider.find(state_of(web), [intent_of(web, "found-key"), intent_of(web, "other-key")])
        assert [item.id for item in found["found-key"]] == [web.record.id]
        assert found["other-key"] == ()

    async def test_what_is_discarded_is_gone_and_may_be_discarded_again(self, make: Make, provider: Provider) -> None:
        web = make("sandbox.web").declare()
        await web.do(Verb.CREATE, key="surplus")
        surplus = Found(id=web.record.id, outputs={})
        for _ in range(2):
            await provider.discard(intent_of(web, "surplus"), surplus)
        assert (await provider.find(state_of(web), [intent_of(web, "surplus")]))["surplus"] == ()

    async def test_records_hold_concealed_values_only(self, make: Make) -> None:
        web = make("sandbox.web").declare(env_vars={"KEY": secret("never-recorded")}, metadata={"a": "b"})
        await web.do(Verb.CREATE)
        await web.do(Verb.ARM)
        assert "never-recorded" not in repr(web.record)
        assert web.record.attributes == {
            name: value for name, value in web.concealed.items() if name in web.record.attributes
        }

    async def test_a_finished_unit_is_in_the_record(self, make: Make) -> None:
        web = make("sandbox.web").declare(run_commands=["true", "true # second"])
        await web.do(Verb.CREATE)
        await web.do(Verb.ARM)
        first = await web.do(Verb.RUN_COMMAND, "run_commands[0]")
        assert "run_commands[0]" in first.record.setup
        assert "run_commands" not in first.record.attributes
        second = await web.do(Verb.RUN_COMMAND, "run_commands[1]")
        assert second.record.attributes["run_commands"] == ["true", "true # second"]

    async def test_what_exists_is_observed_and_what_was_deleted_is_gone(self, make: Make, provider: Provider) -> None:
        web = make("sandbox.web").declare()
        await web.do(Verb.CREATE)
        state = state_of(web)
        seen = (await provider.observe(state, {})).records[web.uid]
        assert seen.id == web.record.id
        assert seen.presence in (Presence.RUNNING, Presence.READY)
        await web.do(Verb.DELETE)
        assert web.record is None
        assert (await provider.observe(state, {})).records[web.uid].presence is Presence.GONE

    async def test_deleting_what_is_gone_succeeds(self, make: Make, provider: Provider) -> None:
        web = make("sandbox.web").declare()
        await web.do(Verb.CREATE)
        call = web.call(Verb.DELETE)
        await provider.execute(call)
        assert (await provider.execute(call)).record is None
        web.record = None

    @pytest.mark.parametrize(("verb", "unit"), [(Verb.EXTEND, ""), (Verb.SET_ENV, "env"), (Verb.SET_NETWORK, "")])
    async def test_an_effect_on_what_is_gone_says_so(
        self, make: Make, provider: Provider, verb: Verb, unit: str
    ) -> None:
        web = make("sandbox.web").declare(env_vars={"STAGE": "one"})
        await web.do(Verb.CREATE)
        await provider.execute(web.call(Verb.DELETE))
        web.declare(env_vars={"STAGE": "two"})
        call = web.call(verb, unit)
        web.record = None
        with pytest.raises(Gone) as caught:
            await provider.execute(call)
        assert caught.value.certainty is Certainty.PERMANENT

    async def test_closing_twice_is_fine(self, provider: Provider) -> None:
        await provider.aclose()
        await provider.aclose()


def state_of(subject: Subject) -> State:
    records = {} if subject.record is None else {subject.address: subject.record}
    return State(lineage="suite", project=subject.project, resources=records)


def intent_of(subject: Subject, key: str) -> Intent:
    return Intent(key=key, address=subject.address, verb=Verb.CREATE.value, uid=subject.uid)
