"""Steps: code in a sandbox, its inputs and outputs, its failures and its time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from nexus.model.changes import Verb
from nexus.providers.base import Certainty, ProviderError
from nexus.providers.e2b import E2BProvider
from tests.providers.conftest import Make
from tests.providers.subject import Subject, secret

pytestmark = pytest.mark.engine
Inside = Callable[..., Awaitable[str]]


@pytest.fixture
async def web(make: Make) -> Subject:
    subject = make("sandbox.web").declare(env_vars={"STAGE": "sandbox", "SHARED": "sandbox"})
    await subject.do(Verb.CREATE)
    await subject.do(Verb.ARM)
    return subject


def on(subject: Subject) -> dict[str, object]:
    return {"address": str(subject.address), "id": subject.record.id, "user": "user"}


CODE = {
    "python": "import os, sys\nprint('py', os.environ['STAGE'], os.environ['SHARED'], sys.stdin.read(), os.getcwd())",
    "javascript": "const { readFileSync } = require('fs'); const { STAGE, SHARED } = process.env;"
    "console.log('js', STAGE, SHARED, readFileSync(0, 'utf8'), process.cwd())",
    "bash": 'echo "sh $STAGE $SHARED $(cat) $PWD"',
}


@pytest.mark.parametrize("language", CODE)
async def test_every_language_sees_its_environment_input_and_folder(make: Make, web: Subject, language: str) -> None:
    step = make("step.etl.one").declare(
        sandbox=on(web),
        code=CODE[language],
        language=language,
        env_vars={"SHARED": "step"},
        stdin="given",
        working_dir="/tmp",
    )
    await step.do(Verb.RUN_STEP, "run")
    word = {"python": "py", "javascript": "js", "bash": "sh"}[language]
    assert step.report.lines == [("stdout", f"{word} sandbox step given /tmp")]
    assert step.record.outputs["exit_code"] == 0
    assert step.record.setup["run"]


async def test_modules_of_javascript_may_import_and_await(make: Make, web: Subject) -> None:
    code = (
        "import { readFile } from 'node:fs/promises';\n"
        "const t = await readFile('/etc/hostname', 'utf8');\nconsole.log(t.length > 0);"
    )
    step = make("step.etl.one").declare(sandbox=on(web), code=code, language="javascript")
    await step.do(Verb.RUN_STEP, "run")
    assert step.report.lines == [("stdout", "true")]


async def test_a_file_goes_from_one_sandbox_to_another(make: Make, web: Subject, inside: Inside) -> None:
    other = make("sandbox.other").declare()
    await other.do(Verb.CREATE)
    await other.do(Verb.ARM)
    size = 5 * 1024 * 1024
    maker = make("step.etl.make").declare(
        sandbox=on(web), run=f"head -c {size} /dev/urandom > /tmp/rows", outputs={"rows": "/tmp/rows"}
    )
    await maker.do(Verb.RUN_STEP, "run")
    rows = maker.record.outputs["outputs"]["rows"]
    assert rows["size"] == size
    for place in (other, web):
        taker = make("step.etl.take").declare(
            sandbox=on(place),
            run="sha256sum < /data/in/rows | cut -c1-64; stat -c '%U' /data/in /data/in/rows; ls /data/in",
            inputs={"/data/in/rows": rows},
        )
        await taker.do(Verb.RUN_STEP, "run")
        assert [line for _, line in taker.report.lines] == [rows["sha256"], "user", "user", "rows"]


async def test_an_artefact_that_changed_meanwhile_is_refused(make: Make, web: Subject, inside: Inside) -> None:
    maker = make("step.etl.make").declare(sandbox=on(web), run="echo a > /tmp/a", outputs={"a": "/tmp/a"})
    await maker.do(Verb.RUN_STEP, "run")
    assert maker.record.outputs["outputs"]["a"]["sha256"] == hashlib.sha256(b"a\n").hexdigest()
    other = make("sandbox.other").declare()
    await other.do(Verb.CREATE)
    await other.do(Verb.ARM)
    for damage in ("echo b > /tmp/a", "rm /tmp/a"):
        await inside(web, damage)
        for place in (other, web):
            taker = make("step.etl.take").declare(
                sandbox=on(place), run="true", inputs={"/tmp/in": maker.record.outputs["outputs"]["a"]}
            )
            with pytest.raises(ProviderError) as caught:
                await taker.do(Verb.RUN_STEP, "run")
            assert caught.value.diagnostic.code == "artefact-lost"
            assert "No such file" in await inside(place, "ls /tmp/in")


async def test_a_time_limit_ends_the_whole_tree(make: Make, web: Subject, inside: Inside) -> None:
    code = "nohup sleep 987 >/dev/null 2>&1 &\n(setsid sleep 986 &)\nsleep 985 | cat\n"
    step = make("step.etl.one").declare(sandbox=on(web), run=code, timeout=1)
    with pytest.raises(ProviderError) as caught:
        await step.do(Verb.RUN_STEP, "run")
    assert caught.value.diagnostic.error_code == "EXECUTION_TIMEOUT"
    assert await inside(web, "pgrep -f -c 'sleep 98[567]'") == "0\n"
    assert await inside(web, "ls /run/nexus/jobs", user="root") == ""


async def test_a_failed_step_leaves_a_record_of_its_run(make: Make, web: Subject) -> None:
    step = make("step.etl.one").declare(sandbox=on(web), run="echo out; echo why >&2; exit 4", outputs={"x": "/tmp/x"})
    with pytest.raises(ProviderError) as caught:
        await step.do(Verb.RUN_STEP, "run")
    problem = caught.value
    assert problem.certainty is Certainty.PERMANENT
    assert "why" in problem.diagnostic.detail
    assert problem.record.outputs["exit_code"] == 4
    assert problem.record.setup == {}


async def test_retries_go_on_until_it_works(make: Make, web: Subject) -> None:
    run = "echo try >> /tmp/tries; [ $(wc -l < /tmp/tries) -ge 2 ]"
    step = make("step.etl.one").declare(sandbox=on(web), run=run, retries=3)
    await step.do(Verb.RUN_STEP, "run")
    assert step.record.outputs["exit_code"] == 0
    assert sum("try 2 of 4" in message for message in step.report.messages) == 1


async def test_an_output_that_was_not_made_is_a_failure(make: Make, web: Subject) -> None:
    step = make("step.etl.one").declare(sandbox=on(web), run="true", outputs={"rows": "/tmp/nowhere", "dir": "/tmp"})
    with pytest.raises(ProviderError) as caught:
        await step.do(Verb.RUN_STEP, "run")
    assert caught.value.diagnostic.code == "missing-output"
    assert "/tmp/nowhere is not there" in caught.value.diagnostic.detail
    assert "/tmp is not a file" in caught.value.diagnostic.detail


async def test_a_step_in_a_sandbox_that_is_gone_fails_without_being_gone_itself(
    make: Make, web: Subject, provider: E2BProvider
) -> None:
    await provider._world.connection.client.AsyncSandbox.kill(web.record.id)
    provider._world.sandboxes.forget(web.record.id)
    step = make("step.etl.one").declare(sandbox=on(web), run="true")
    with pytest.raises(ProviderError) as caught:
        await step.do(Verb.RUN_STEP, "run")
    assert type(caught.value) is ProviderError
    assert caught.value.diagnostic.error_code == "SANDBOX_NOT_FOUND"


async def test_what_a_step_used_is_measured(make: Make, web: Subject) -> None:
    code = "x = bytearray(50_000_000)\nsum(range(3_000_000))"
    step = make("step.etl.one").declare(sandbox=on(web), code=code, language="python")
    await step.do(Verb.RUN_STEP, "run")
    assert step.record.outputs["peak_memory"] > 50_000_000
    assert 0.01 < step.record.outputs["cpu_seconds"] < 30


async def test_secrets_of_a_step_stay_out_of_its_log(make: Make, web: Subject) -> None:
    step = make("step.etl.one").declare(
        sandbox=on(web),
        run="echo $KEY; cat",
        env_vars={"KEY": secret("from-env-secret")},
        stdin=secret("from-stdin-secret"),
    )
    await step.do(Verb.RUN_STEP, "run")
    assert step.report.lines == [("stdout", "(sensitive)"), ("stdout", "(sensitive)")]


async def test_a_step_runs_as_who_it_says_and_a_wrong_folder_is_explained(make: Make, web: Subject) -> None:
    step = make("step.etl.one").declare(sandbox=on(web), run="id -un; echo $HOME", user="root")
    await step.do(Verb.RUN_STEP, "run")
    assert [line for _, line in step.report.lines] == ["root", "/root"]
    step.declare(sandbox=on(web), run="true", working_dir="/no/such/folder")
    with pytest.raises(ProviderError) as caught:
        await step.do(Verb.RUN_STEP, "run")
    assert caught.value.diagnostic.code == "no-working-directory"


async def test_what_a_run_that_was_cut_off_left_running_is_ended_by_the_next(
    make: Make, web: Subject, inside: Inside
) -> None:
    step = make("step.etl.one").declare(sandbox=on(web), run="echo up; echo $$ >> /tmp/pids; sleep 976 & sleep 975")
    running = asyncio.create_task(step.do(Verb.RUN_STEP, "run"))
    await step.report.until(("stdout", "up"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await inside(web, "pgrep -f -c 'sleep 97[56]'") == "2\n"
    again = make("step.etl.one").declare(
        sandbox=on(web), run="pgrep -f -c '[s]leep 97[56]' || true; sleep 974 >/dev/null 2>&1 &"
    )
    await again.do(Verb.RUN_STEP, "run")
    assert again.report.lines == [("stdout", "0")]
    await again.do(Verb.RUN_STEP, "run")
    assert await inside(web, "pgrep -f -c '[s]leep 974'") == "2\n", "what a step leaves on purpose stays"
