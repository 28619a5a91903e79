"""Commands on live sandboxes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from nexus.kinds.step_fields import Language
from nexus.local import daemon
from nexus.local.daemon import Endpoint
from nexus.model.changes import Verb
from nexus.providers.base import Gone, ProviderError
from nexus.providers.e2b import E2BProvider, marking
from nexus.providers.e2b.output import Capture
from nexus.providers.operating import Execution, Operator
from tests.providers.conftest import Make
from tests.providers.subject import Subject

pytestmark = pytest.mark.engine


@pytest.fixture
def operator(provider: E2BProvider) -> Operator:
    return provider.operator


@pytest.fixture
async def web(make: Make) -> Subject:
    subject = make("sandbox.web").declare(env_vars={"STAGE": "sandbox"}, metadata={"team": "data"})
    await subject.do(Verb.CREATE)
    await subject.do(Verb.ARM)
    return subject


async def test_code_runs_with_its_streams_apart_and_its_exit_code(operator: Operator, web: Subject) -> None:
    seen: list[tuple[str, str]] = []
    executed = await operator.execute(
        web.record.id,
        Execution(code='echo "$STAGE $ONE"; cat; echo bad >&2; exit 3', env_vars={"ONE": "1"}, stdin=b"in"),
        lambda stream, text: seen.append((stream, text)),
    )
    assert (executed.exit_code, executed.stdout, executed.stderr) == (3, "sandbox 1\nin", "bad\n")
    assert "".join(text for stream, text in seen if stream == "stdout") == executed.stdout
    assert executed.seconds > 0
    assert executed.cpu_seconds is not None
    assert executed.peak_memory > 1_000_000


async def test_a_variable_of_one_execution_wins_over_the_sandboxes(operator: Operator, make: Make) -> None:
    web = make("sandbox.web").declare(env_vars={"STAGE": "one"})
    await web.do(Verb.CREATE)
    await web.do(Verb.ARM)
    web.declare(env_vars={"STAGE": "two"})
    await web.do(Verb.SET_ENV, "env")
    for language, code in ((Language.BASH, "echo $STAGE"), (Language.PYTHON, "import os; print(os.environ['STAGE'])")):
        own = await operator.execute(web.record.id, Execution(code=code, language=language, env_vars={"STAGE": "own"}))
        assert own.stdout == "own\n"
        changed = await operator.execute(web.record.id, Execution(code=code, language=language))
        assert changed.stdout == "two\n"


async def test_languages_run_side_by_side(operator: Operator, web: Subject) -> None:
    codes = {Language.PYTHON: "print('p')", Language.JAVASCRIPT: "console.log('j')", Language.BASH: "echo b"}
    executed = await asyncio.gather(
        *(operator.execute(web.record.id, Execution(code=code, language=language)) for language, code in codes.items())
    )
    assert [item.stdout for item in executed] == ["p\n", "j\n", "b\n"]


async def test_a_time_limit_is_told_apart_from_a_failure(operator: Operator, web: Subject) -> None:
    executed = await operator.execute(web.record.id, Execution(code="echo begun; sleep 60", timeout=4))
    assert executed.timed_out
    assert executed.stdout == "begun\n"


async def test_lists_and_looks_know_whose_a_sandbox_is(operator: Operator, web: Subject) -> None:
    (listed,) = await operator.list({"nexus.project": web.project})
    assert (listed.id, listed.address, listed.status, listed.uid) == (web.record.id, "sandbox.web", "running", web.uid)
    assert listed.metadata == {"team": "data"}
    assert (await operator.look(web.record.id)).expires_at == listed.expires_at


async def test_pause_resume_extend_and_kill(operator: Operator, web: Subject, engine: Endpoint) -> None:
    assert await operator.pause(web.record.id)
    assert not await operator.pause(web.record.id)
    with pytest.raises(ProviderError) as caught:
        await operator.set_timeout(web.record.id, 60)
    assert caught.value.diagnostic.error_code == "SANDBOX_NOT_RUNNING"
    with pytest.raises(ProviderError) as caught:
        await operator.execute(web.record.id, Execution(code="true"))
    assert caught.value.diagnostic.error_code == "SANDBOX_NOT_RUNNING"
    await operator.resume(web.record.id, 600)
    await operator.set_timeout(web.record.id, 3000)
    # The engine's own time: other tests may have moved it.
    now = datetime.fromisoformat(str((daemon.status(engine.home) or {})["now"]))
    left = (await operator.look(web.record.id)).expires_at - now
    assert timedelta(seconds=2900) < left <= timedelta(seconds=3001)
    assert await operator.kill(web.record.id)
    assert not await operator.kill(web.record.id)
    with pytest.raises(Gone):
        await operator.look(web.record.id)


async def test_what_is_claimed_bears_a_mark_keeps_its_rules_and_is_not_claimed_twice(
    operator: Operator, make: Make
) -> None:
    rules = {"internet": False, "allow": ["pypi.org"], "deny": []}
    subject = make("sandbox.web").declare(network=rules)
    await subject.do(Verb.CREATE)
    await subject.do(Verb.ARM)
    sandbox_id = subject.record.id
    before = await operator.network(sandbox_id)
    await operator.pause(sandbox_id)
    claimed = await operator.claim(sandbox_id, 900)
    assert claimed is not None
    assert claimed.status == "running"
    after = await operator.network(sandbox_id)
    assert (after.internet, after.allow) == (before.internet, before.allow) == (False, ["pypi.org"])
    assert set(after.deny) == {*before.deny, marking.TAKEN}
    assert await operator.claim(sandbox_id, 900) is None
    assert (await operator.claim(sandbox_id, 900, again=True)) is not None
    assert list((await operator.network(sandbox_id)).deny) == list(after.deny)
    await operator.kill(sandbox_id)
    with pytest.raises(Gone):
        await operator.claim(sandbox_id, 900)


async def test_files_go_in_and_out_as_streams(operator: Operator, web: Subject) -> None:
    content = bytes(range(256)) * 20_000

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    written = await operator.write(web.record.id, "/srv/new/blob", pieces(), mode=0o640)
    assert (written.size, written.mode) == (len(content), 0o640)
    assert written.sha256 == hashlib.sha256(content).hexdigest()
    assert b"".join([chunk async for chunk in operator.read(web.record.id, "/srv/new/blob")]) == content
    with pytest.raises(ProviderError) as caught:
        [chunk async for chunk in operator.read(web.record.id, "/no/such")]
    assert caught.value.diagnostic.code == "file-not-found"


async def test_what_ran_in_a_sandbox_is_counted_there(operator: Operator, web: Subject) -> None:
    assert (await operator.executions(web.record.id)).total == 0
    await operator.execute(web.record.id, Execution(code="true"))
    await operator.execute(web.record.id, Execution(code="sleep 60", timeout=4))
    counted = await operator.executions(web.record.id)
    assert (counted.total, counted.failed) == (2, 1)
    assert counted.seconds >= 1
    assert counted.last is not None


async def test_contents_tell_what_a_deletion_would_take(operator: Operator, web: Subject) -> None:
    before = await operator.contents(web.record.id)
    await operator.execute(web.record.id, Execution(code="touch a b c; nohup sleep 100 >/dev/null 2>&1 &"))
    after = await operator.contents(web.record.id)
    assert after.files - before.files >= 3
    assert after.processes - before.processes == 1
    assert after.disk_used > 0
    assert after.executions.total == before.executions.total + 1


async def test_logs_and_usage_can_be_asked_for(operator: Operator, web: Subject) -> None:
    assert all(entry.time for entry in await operator.logs(web.record.id, limit=10))
    assert all(item.memory_total > 0 for item in await operator.usage(web.record.id))
    with pytest.raises(Gone):
        await operator.logs("i00000000000000000000")


async def test_a_terminal_is_a_real_one(operator: Operator, web: Subject) -> None:
    seen = bytearray()
    news = asyncio.Event()

    def on_data(data: bytes) -> None:
        seen.extend(data)
        news.set()

    terminal = await operator.terminal(web.record.id, on_data, columns=100, rows=30)
    await terminal.resize(90, 20)
    await terminal.send(b"stty size; exit 5\n")
    assert await terminal.wait() == 5
    assert b"20 90" in seen
    await terminal.close()


@pytest.mark.parametrize("chunks", [("x" * 1000,), ("x",) * 1000, ("x" * 300, "x" * 700)])
def test_of_much_output_the_beginning_and_the_end_are_remembered(chunks: tuple[str, ...]) -> None:
    seen: list[str] = []
    capture = Capture(lambda stream, text: seen.append(text), kept=21)
    capture.stdout("begin")
    for chunk in chunks:
        capture.stdout(chunk)
    capture.stdout("the end")
    capture.stderr("short")
    assert capture.text("stdout") == "beginxxxxxx\n[... 991 characters are left out ...]\nxxxthe end"
    assert capture.text("stderr") == "short"
    assert "".join(seen) == f"begin{'x' * 1000}the endshort"


def test_output_that_fits_is_remembered_as_it_is() -> None:
    capture = Capture(None, kept=20)
    for chunk in ("12345", "67890", "abcde", "fghij"):
        capture.stdout(chunk)
    assert capture.text("stdout") == "1234567890abcdefghij"
