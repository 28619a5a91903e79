"""What is set up inside a sandbox, and what a change of it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from nexus.model.changes import Verb
from nexus.providers.base import Certainty, ProviderError
from nexus.providers.e2b import E2BProvider
from tests.providers.conftest import Make, settings_of
from tests.providers.subject import MemoryFiles, Subject, secret

pytestmark = pytest.mark.engine
Inside = Callable[..., Awaitable[str]]


async def up(subject: Subject) -> Subject:
    await subject.do(Verb.CREATE)
    await subject.do(Verb.ARM)
    return subject


class TestEnvironment:
    async def test_a_change_is_seen_by_login_shells_and_a_lost_variable_is_unset(
        self, make: Make, inside: Inside
    ) -> None:
        web = await up(make("sandbox.web").declare(env_vars={"STAGE": "one", "LOST": "x"}))
        assert await inside(web, "echo $STAGE $LOST") == "one x\n"
        web.declare(env_vars={"STAGE": 'it\'s "two"\nlines'})
        await web.do(Verb.SET_ENV, "env")
        assert await inside(web, 'echo "$STAGE"; echo ${LOST-unset}') == 'it\'s "two"\nlines\nunset\n'
        assert web.record.attributes["env_vars"] == {"STAGE": 'it\'s "two"\nlines'}

    async def test_no_variables_at_all_unsets_those_of_the_create(self, make: Make, inside: Inside) -> None:
        web = await up(make("sandbox.web").declare(env_vars={"STAGE": "one"}))
        web.declare()
        await web.do(Verb.SET_ENV, "env")
        assert await inside(web, "echo ${STAGE-unset}") == "unset\n"
        assert "env" not in web.record.setup

    @pytest.mark.usefixtures("accounts_apart")
    async def test_only_root_and_the_sandboxes_user_can_read_later_values(self, make: Make, inside: Inside) -> None:
        web = await up(make("sandbox.web").declare(env_vars={"KEY": "a"}))
        web.declare(env_vars={"KEY": secret("rotated-secret")})
        await web.do(Verb.SET_ENV, "env")
        await inside(web, "useradd -m other", user="root")
        assert "Permission denied" in await inside(web, "cat /run/nexus/env", user="other")
        assert "rotated-secret" in await inside(web, "cat /run/nexus/env")
        assert "tmpfs" in await inside(web, "stat -f -c %T /run/nexus/env")


class TestPackages:
    async def test_pip_installs_changes_versions_and_removes(self, make: Make, inside: Inside) -> None:
        version = "python3 -c 'import iniconfig; from importlib.metadata import version; print(version(\"iniconfig\"))'"
        web = await up(make("sandbox.web").declare(packages={"pip": ["iniconfig==2.0.0"]}))
        await web.do(Verb.INSTALL, "pip")
        assert await inside(web, version) == "2.0.0\n"
        web.declare(packages={"pip": ["iniconfig==1.1.1"]})
        await web.do(Verb.INSTALL, "pip")
        assert await inside(web, version) == "1.1.1\n"
        web.declare()
        await web.do(Verb.INSTALL, "pip")
        assert "ModuleNotFoundError" in await inside(web, version)
        assert web.record.attributes["packages"]["pip"] == []

    async def test_npm_installs_changes_versions_and_removes(self, make: Make, inside: Inside) -> None:
        listed = "npm ls -g --depth=0 2>/dev/null | grep -o 'is-number.*'"
        web = await up(make("sandbox.web").declare(packages={"npm": ["is-number@6.0.0"]}))
        await web.do(Verb.INSTALL, "npm")
        assert await inside(web, listed) == "is-number@6.0.0\n"
        web.declare(packages={"npm": ["is-number@7.0.0"]})
        await web.do(Verb.INSTALL, "npm")
        assert await inside(web, listed) == "is-number@7.0.0\n"
        web.declare()
        await web.do(Verb.INSTALL, "npm")
        assert await inside(web, listed) == ""

    async def test_apt_installs_and_removes(self, make: Make, inside: Inside) -> None:
        web = await up(make("sandbox.web").declare(packages={"apt": ["sl", "hello"]}))
        await web.do(Verb.INSTALL, "apt")
        assert "Hello" in await inside(web, "hello")
        web.declare(packages={"apt": ["sl"]})
        await web.do(Verb.INSTALL, "apt")
        assert await inside(web, "command -v hello; ls /usr/games/sl") == "/usr/games/sl\n"

    async def test_a_package_that_is_nowhere_says_what_failed(self, make: Make) -> None:
        web = await up(make("sandbox.web").declare(packages={"pip": ["there-is-no-such-package-at-all-9"]}))
        with pytest.raises(ProviderError) as caught:
            await web.do(Verb.INSTALL, "pip")
        assert caught.value.certainty is Certainty.PERMANENT
        assert "there-is-no-such-package-at-all-9" in caught.value.diagnostic.detail
        assert "pip" not in web.record.setup


class TestUploads:
    async def test_only_what_changed_is_sent_and_what_is_gone_is_deleted(self, make: Make, inside: Inside) -> None:
        folder = {f"part{n % 7}/file{n}.txt": f"content of {n}\n".encode() for n in range(300)}
        files = MemoryFiles(folders={"src": folder}, modes={"part1/file1.txt": 0o755})
        web = await up(make("sandbox.web", files).declare(uploads=[{"path": "/app/src", "source": "src"}]))
        await web.do(Verb.UPLOAD, "uploads")
        assert web.report.messages[-1] == "files: 300 to send"
        assert await inside(web, "find /app/src -type f | wc -l; stat -c '%a %U' /app/src/part1/file1.txt") == (
            "300\n755 user\n"
        )
        await inside(web, "touch -d 2001-01-01 /app/src/part2/file2.txt; echo mine > /app/src/part3/mine")
        folder["part0/file0.txt"] = b"changed\n"
        for path in [path for path in folder if path.startswith("part4/")]:
            del folder[path]
        del folder["part3/file3.txt"]
        web.declare(uploads=[{"path": "/app/src", "source": "src"}])
        await web.do(Verb.UPLOAD, "uploads")
        assert web.report.messages[-1].startswith("files: 1 to send, ")
        assert await inside(web, "cat /app/src/part0/file0.txt; ls /app/src") == (
            "changed\npart0\npart1\npart2\npart3\npart5\npart6\n"
        )
        left_alone = (
            "stat -c %y /app/src/part2/file2.txt | cut -c1-4; cat /app/src/part3/mine; ls /app/src/part3/file3.txt"
        )
        assert (await inside(web, left_alone)).startswith("2001\nmine\nls: cannot access")

    async def test_three_hundred_files_take_three_requests(
        self, make: Make, provider: E2BProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = MemoryFiles(folders={"src": {f"{n}.txt": b"x" * n for n in range(300)}})
        web = await up(make("sandbox.web", files).declare(uploads=[{"path": "/app", "source": "src"}]))
        sandbox = await provider._world.sandboxes.open(web.record.id, "")
        count = 0

        def counted(function):
            async def call(*args, **kwargs):
                nonlocal count
                count += 1
                return await function(*args, **kwargs)

            return call

        monkeypatch.setattr(sandbox.sandbox.commands, "run", counted(sandbox.sandbox.commands.run))
        monkeypatch.setattr(sandbox.sandbox.files, "write", counted(sandbox.sandbox.files.write))
        await web.do(Verb.UPLOAD, "uploads")
        assert count == 3

    @pytest.mark.usefixtures("accounts_apart")
    async def test_folders_that_exist_keep_their_owner_and_new_ones_belong_to_the_user(
        self, make: Make, inside: Inside
    ) -> None:
        web = make("sandbox.web").declare(
            uploads=[
                {"path": "/etc/mine/deep/a.conf", "content": "a", "mode": "0600"},
                {"path": "/srv/rooted", "content": "r", "user": "root"},
                {"path": "/opt/Ünïcode and space/ü's.txt", "content": "ü"},
            ]
        )
        await up(web)
        await web.do(Verb.UPLOAD, "uploads")
        listed = await inside(
            web,
            "stat -c '%n %U %a' /etc /etc/mine /etc/mine/deep/a.conf /srv/rooted;"
            "cat '/opt/Ünïcode and space/ü'\\''s.txt'",
        )
        assert listed == "/etc root 755\n/etc/mine user 755\n/etc/mine/deep/a.conf user 600\n/srv/rooted root 644\nü"

    async def test_a_changed_mode_alone_is_sent(self, make: Make, inside: Inside) -> None:
        web = await up(make("sandbox.web").declare(uploads=[{"path": "/app/run", "content": "#!/bin/sh\n"}]))
        await web.do(Verb.UPLOAD, "uploads")
        web.declare(uploads=[{"path": "/app/run", "content": "#!/bin/sh\n", "mode": "0755"}])
        await web.do(Verb.UPLOAD, "uploads")
        assert await inside(web, "stat -c %a /app/run") == "755\n"

    async def test_uploads_that_are_gone_altogether_are_deleted(self, make: Make, inside: Inside) -> None:
        web = await up(make("sandbox.web").declare(uploads=[{"path": "/app/a", "content": "a"}]))
        await web.do(Verb.UPLOAD, "uploads")
        web.declare()
        await web.do(Verb.UPLOAD, "uploads")
        assert await inside(web, "ls /app") == ""
        assert "uploads" not in web.record.setup

    async def test_paths_that_lead_out_are_refused(self, make: Make) -> None:
        web = make("sandbox.web", MemoryFiles(folders={"src": {"../../etc/passwd": b"x"}}))
        await up(web.declare(uploads=[{"path": "/app", "source": "src"}]))
        with pytest.raises(ProviderError) as caught:
            await web.do(Verb.UPLOAD, "uploads")
        assert caught.value.diagnostic.code == "path-escapes"


class TestCommands:
    async def test_commands_run_as_root_and_stop_at_the_first_failing_line(self, make: Make, inside: Inside) -> None:
        script = "id -un > /tmp/who\ncat /does/not/exist | tr a b\necho reached > /tmp/reached\n"
        web = await up(make("sandbox.web").declare(run_commands=[script]))
        with pytest.raises(ProviderError) as caught:
            await web.do(Verb.RUN_COMMAND, "run_commands[0]")
        assert caught.value.diagnostic.error_code == "EXECUTION_ERROR"
        assert "/does/not/exist" in caught.value.diagnostic.detail
        assert await inside(web, "cat /tmp/who; ls /tmp/reached") != "root\n/tmp/reached\n"
        assert "run_commands[0]" not in web.record.setup

    async def test_an_exit_in_the_middle_of_a_script_counts(self, make: Make) -> None:
        web = await up(make("sandbox.web").declare(run_commands=["exit 0\nfalse"], startup_script="exit 7"))
        await web.do(Verb.RUN_COMMAND, "run_commands[0]")
        with pytest.raises(ProviderError) as caught:
            await web.do(Verb.RUN_COMMAND, "startup_script")
        assert "exit code 7" in caught.value.diagnostic.summary

    async def test_a_command_that_finished_before_a_crash_is_not_run_again(self, make: Make, inside: Inside) -> None:
        web = await up(make("sandbox.web").declare(run_commands=["echo once >> /tmp/runs"]))
        before = web.record
        await web.do(Verb.RUN_COMMAND, "run_commands[0]")
        web.record = before
        result = await web.do(Verb.RUN_COMMAND, "run_commands[0]")
        assert result.unchanged
        assert web.record.setup["run_commands[0]"]
        assert await inside(web, "cat /tmp/runs") == "once\n"

    async def test_a_command_that_is_recorded_is_run_again_when_asked_to(self, make: Make, inside: Inside) -> None:
        web = await up(make("sandbox.web").declare(run_commands=["echo again >> /tmp/runs"]))
        await web.do(Verb.RUN_COMMAND, "run_commands[0]")
        await web.do(Verb.RUN_COMMAND, "run_commands[0]")
        assert await inside(web, "cat /tmp/runs") == "again\nagain\n"

    async def test_another_provider_knows_from_the_sandbox_what_was_done(self, make: Make, engine) -> None:
        web = await up(make("sandbox.web").declare(startup_script="true"))
        before = web.record
        await web.do(Verb.RUN_COMMAND, "startup_script")
        other = E2BProvider(settings_of(engine))
        try:
            again = await other.execute(replace(web.call(Verb.RUN_COMMAND, "startup_script"), record=before))
        finally:
            await other.aclose()
        assert again.unchanged

    async def test_lines_are_reported_while_the_command_runs(self, make: Make, inside: Inside) -> None:
        web = await up(
            make("sandbox.web").declare(run_commands=["echo first; until [ -e /tmp/go ]; do sleep 0.05; done"])
        )
        running = asyncio.create_task(web.do(Verb.RUN_COMMAND, "run_commands[0]"))
        await web.report.until(("stdout", "first"))
        assert not running.done()
        await inside(web, "touch /tmp/go")
        await running

    async def test_a_cancelled_call_leaves_nothing_behind_in_this_process(self, make: Make, inside: Inside) -> None:
        web = await up(make("sandbox.web").declare(run_commands=["echo first; sleep 600"]))
        before = asyncio.all_tasks()
        running = asyncio.create_task(web.do(Verb.RUN_COMMAND, "run_commands[0]"))
        await web.report.until(("stdout", "first"))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.all_tasks() <= before

    @pytest.mark.usefixtures("accounts_apart")
    async def test_the_text_of_a_command_is_in_no_command_line(self, make: Make, inside: Inside) -> None:
        web = await up(
            make("sandbox.web").declare(
                run_commands=[secret("T=very-secret-text; until [ -e /tmp/go ]; do sleep 0.05; done")]
            )
        )
        running = asyncio.create_task(web.do(Verb.RUN_COMMAND, "run_commands[0]"))
        seen = ""
        async with asyncio.timeout(60):
            while "/run/nexus/jobs" not in seen:
                seen = await inside(web, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        assert "very-secret" not in seen.replace("cat /proc", "")
        assert "Permission denied" in await inside(web, "ls /run/nexus/jobs")
        await inside(web, "touch /tmp/go")
        await running


class TestProcesses:
    async def test_a_start_is_waited_for_and_a_changed_one_replaces_the_old(self, make: Make, inside: Inside) -> None:
        web = make("sandbox.web").declare(
            start_command="setsid sleep 4321 &\nexec python3 -m http.server 8000",
            ready={"port": 8000, "timeout": 20},
        )
        await web.bring_up()
        assert await inside(
            web, "curl -s -o /dev/null -w '%{http_code}' localhost:8000; pgrep -f -c 'sleep 432[1]'"
        ) == ("2001\n")
        web.declare(start_command="python3 -m http.server 8001", ready={"url": "http://localhost:8001/", "timeout": 20})
        await web.set_up()
        seen = await inside(
            web,
            "for p in 8000 8001; do curl -s -o /dev/null -w '%{http_code} ' localhost:$p; done; "
            "pgrep -f -c 'sleep 432[1]'; ps -o user= -p $(cat /run/nexus/start.pid)",
        )
        assert seen == "000 200 0\nuser\n"

    async def test_no_start_command_any_more_stops_the_process(self, make: Make, inside: Inside) -> None:
        web = make("sandbox.web").declare(start_command="sleep 4322")
        await web.bring_up()
        web.declare()
        await web.do(Verb.START, "start")
        assert await inside(web, "pgrep -f -c 'sleep 432[2]'") == "0\n"
        assert "start" not in web.record.setup

    async def test_a_start_that_fails_at_once_tells_its_last_words(self, make: Make) -> None:
        web = await up(make("sandbox.web").declare(start_command="echo last words; exit 7"))
        with pytest.raises(ProviderError) as caught:
            await web.do(Verb.START, "start")
        assert "exit code 7" in caught.value.diagnostic.summary
        assert "last words" in caught.value.diagnostic.detail

    @pytest.mark.parametrize(
        "ready",
        [
            {"port": 8000},
            {"url": "http://localhost:8000/"},
            {"command": "test -e /tmp/up"},
            {"file": "/tmp/up"},
            {"process": "python3"},
        ],
        ids=lambda ready: next(iter(ready)),
    )
    async def test_every_check_waits_until_it_is_so(self, make: Make, ready: dict[str, object]) -> None:
        web = make("sandbox.web").declare(
            start_command="sleep 0.5; touch /tmp/up; exec python3 -m http.server 8000", ready={**ready, "timeout": 20}
        )
        record = await web.bring_up()
        assert "ready" in record.setup

    async def test_what_never_gets_ready_ends_with_its_time(self, make: Make) -> None:
        web = await up(
            make("sandbox.web").declare(start_command="echo booting; sleep 100", ready={"port": 9, "timeout": 1})
        )
        await web.do(Verb.START, "start")
        with pytest.raises(ProviderError) as caught:
            await web.do(Verb.AWAIT_READY, "ready")
        assert caught.value.diagnostic.code == "not-ready"
        assert "booting" in caught.value.diagnostic.detail


class TestRedaction:
    async def test_a_secret_is_shown_nowhere(self, make: Make) -> None:
        value = "hunter2-hunter2"
        web = make("sandbox.web").declare(
            env_vars={"KEY": secret(value)},
            run_commands=[
                'echo "plain $KEY"; echo -n "$KEY" | base64; echo -n "x$KEY" | base64; echo "$KEY" >&2',
                'printf %s "$KEY" | od -An -tx1 | tr -d " \\n"; echo; echo "$KEY" >&2; exit 3',
            ],
        )
        await up(web)
        await web.do(Verb.RUN_COMMAND, "run_commands[0]")
        with pytest.raises(ProviderError) as caught:
            await web.do(Verb.RUN_COMMAND, "run_commands[1]")
        shown = web.report.text + str(caught.value) + str(caught.value.diagnostic) + repr(caught.value.diagnostic)
        assert "plain (sensitive)" in shown
        for form in (value, "aHVudGVyMi1odW50ZXIy", value.encode().hex(), "ub3RlcjItaHVu"):
            assert form not in shown

    async def test_secrets_of_the_run_are_hidden_inside_of_longer_texts_too(self, engine, make: Make) -> None:
        provider = E2BProvider(settings_of(engine), secrets=lambda: ["token-of-the-run"])
        web = make("sandbox.web")
        web.provider = provider
        web.declare(run_commands=[secret("echo Bearer token-of-the-run")])
        await up(web)
        await web.do(Verb.RUN_COMMAND, "run_commands[0]")
        await provider.aclose()
        assert ("stdout", "Bearer (sensitive)") in web.report.lines
