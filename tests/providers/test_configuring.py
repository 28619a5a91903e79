"""Changes to a live sandbox that nobody declared: made, seen by a deep look, and taken back by the next setup."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from nexus.kinds.network import NetworkSpec
from nexus.kinds.packages import PackageSet
from nexus.model.changes import Verb
from nexus.model.values import Sensitive
from nexus.providers.base import ProviderError
from nexus.providers.configuring import Configuration
from nexus.providers.e2b import E2BProvider
from tests.providers.conftest import Make
from tests.providers.subject import RecordingReport, Subject

pytestmark = pytest.mark.engine

Inside = Callable[[Subject, str], Awaitable[str]]


async def up(subject: Subject) -> Subject:
    await subject.do(Verb.CREATE)
    await subject.do(Verb.ARM)
    return subject


async def configure(provider: E2BProvider, subject: Subject, configuration: Configuration) -> RecordingReport:
    assert subject.record is not None
    report = RecordingReport()
    await provider.operator.configure(subject.record.id, configuration, report)
    return report


async def test_packages_that_were_not_declared_go_with_the_next_install(
    provider: E2BProvider, make: Make, inside: Inside
) -> None:
    web = await up(make("sandbox.web").declare(packages={"pip": ["iniconfig==2.0.0"]}))
    await web.do(Verb.INSTALL, "pip")
    await configure(provider, web, Configuration(install=PackageSet(pip=("colorama==0.4.6",))))
    assert "0.4.6" in await inside(web, "pip show colorama")

    await web.do(Verb.INSTALL, "pip")
    assert "not found" in await inside(web, "pip show colorama")
    assert "2.0.0" in await inside(web, "pip show iniconfig")


async def test_variables_commands_and_the_process_are_changed_in_this_order(
    provider: E2BProvider, make: Make, inside: Inside
) -> None:
    started = 'echo "$STAGE" >> /tmp/stages; exec sleep 1000'
    web = await up(make("sandbox.web").declare(env_vars={"STAGE": "one", "OLD": "1"}, start_command=started))
    await web.do(Verb.START, "start")
    changes = Configuration(
        env_vars={"STAGE": "two", "KEY": Sensitive("a-secret-value")},
        unset=("OLD",),
        run_commands=('echo "$STAGE $OLD $KEY"', "id -un"),
        restart=True,
    )
    report = await configure(provider, web, changes)
    assert [text for _, text in report.lines] == ["two  (sensitive)", "root"]
    assert await inside(web, "cat /tmp/stages") == "one\ntwo\n"

    web.declare(env_vars={"STAGE": "one"})
    await web.do(Verb.START, "start")
    await configure(provider, web, Configuration(restart=True))
    assert await inside(web, "cat /tmp/stages") == "one\ntwo\n", "what is not declared any more stays away"


async def test_a_command_that_fails_ends_it_and_says_what_it_wrote(provider: E2BProvider, make: Make) -> None:
    web = await up(make("sandbox.web").declare())
    with pytest.raises(ProviderError) as raised:
        await configure(provider, web, Configuration(run_commands=("true", "echo why >&2; exit 4", "touch /tmp/no")))
    assert raised.value.diagnostic.summary == "Command 2 failed with exit code 4"
    assert "why" in raised.value.diagnostic.detail


async def test_a_network_is_closed_once_the_commands_have_run(provider: E2BProvider, make: Make) -> None:
    web = await up(make("sandbox.web").declare())
    closed = NetworkSpec(internet=False, deny=("0.0.0.0/0",))
    report = await configure(provider, web, Configuration(network=closed, closing=True, run_commands=("true",)))
    assert report.messages == ["running command 1", "setting the network"]
    assert not (await provider.operator.network(web.record.id)).internet
