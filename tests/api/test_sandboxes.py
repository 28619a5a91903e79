"""Live sandboxes from Python, each in its own words: by handle, and as objects of E2B's SDK."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import e2b
import jsonschema
import pytest

import nexus
from nexus.local.daemon import Endpoint

pytestmark = pytest.mark.engine


def test_code_runs_and_its_output_comes_as_it_is_written(applied: nexus.Project) -> None:
    web = applied.sandbox("web")
    seen: list[tuple[str, str]] = []
    ran = web.exec("print(6 * 7); raise SystemExit(3)", language="python", on_output=lambda *piece: seen.append(piece))
    assert (ran.exit_code, ran.stdout) == (3, "42\n")
    assert "".join(text for stream, text in seen if stream == "stdout") == ran.stdout
    assert web.exec(["echo", "a  b", "$HOME"]).stdout == "a  b $HOME\n"
    assert web.exec("cat; echo $NAME", stdin=b"in ", env_vars={"NAME": "x"}).stdout == "in x\n"
    assert web.exec("sleep 60", timeout=0.5).timed_out
    assert applied.exec("sandbox.web", "whoami").stdout == "user\n"


def test_a_sandbox_is_an_object_of_the_sdk_connected_to_where_it_is(applied: nexus.Project) -> None:
    before = applied.sandbox("web").status().sandbox
    sandbox = applied.sandbox("web").e2b()
    assert isinstance(sandbox, e2b.Sandbox)
    assert sandbox.sandbox_id == applied.output("id", str)
    assert sandbox.commands.run("echo from the SDK").stdout == "from the SDK\n"
    sandbox.files.write("note.txt", "kept")
    assert sandbox.files.read("/home/user/note.txt") == "kept"
    assert sandbox.get_info().end_at == before.expires_at, "looking at it does not prolong its life"
    assert sandbox.is_running()


def fits(item: nexus.Plan | nexus.Event | nexus.DriftReport | nexus.State | nexus.NexusError, schema: str) -> None:
    """Its document is one that could be printed, and as its published schema has it."""
    path = Path(nexus.__file__).parents[1] / "schemas" / f"{schema}.schema.json"
    jsonschema.validate(json.loads(json.dumps(nexus.to_document(item))), json.loads(path.read_text()))


def test_answers_are_documents_too(applied: nexus.Project) -> None:
    fits(applied.plan(replace=["sandbox.web"]), "plan")
    fits(applied.drift(deep=False), "drift")
    fits(applied.state(), "show")
    with pytest.raises(nexus.NexusError) as caught:
        applied.sandbox("wep").url(8000)
    fits(caught.value, "failure")
    with pytest.raises(TypeError, match="no document for int"):
        nexus.to_document(3)  # type: ignore[arg-type]


def test_the_same_in_an_event_loop(applied: nexus.Project) -> None:
    async def program() -> None:
        project = applied.asynchronous
        sandbox = await project.sandbox("web").e2b()
        assert isinstance(sandbox, e2b.AsyncSandbox)
        assert (await sandbox.commands.run("echo hi")).stdout == "hi\n"
        async with project.running("checks", force=True) as ongoing:
            events = [event async for event in ongoing]
        kinds = [type(event) for event in events]
        for event in events:
            fits(event, "events")
        assert kinds[0] is nexus.PlanReady
        assert kinds[-1] is nexus.ApplyFinished
        assert nexus.LogLine in kinds
        assert (await ongoing.result()).approved

    asyncio.run(program())


def test_files_are_copied_there_and_back(applied: nexus.Project, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / "one.txt").write_text("one")
    progress: list[tuple[int, int]] = []
    web = applied.sandbox("web")
    sent = web.upload(source, "data", on_progress=lambda done, total: progress.append((done, total)))
    assert [item.path for item in sent.files] == ["/home/user/data/one.txt"]
    assert progress[-1] == (3, 3)
    web.download("data", tmp_path / "back")
    assert (tmp_path / "back" / "one.txt").read_text() == "one"


def test_what_there_is_can_be_asked_for(applied: nexus.Project) -> None:
    web = applied.sandbox("web")
    status = web.status()
    assert (status.sandbox.status, status.sandbox.address, status.sandbox.id) == ("running", "sandbox.web", web.id())
    assert [item.id for item in applied.list().sandboxes] == [web.id()]
    assert web.id() in {item.id for item in applied.usage().sandboxes}
    with urllib.request.urlopen(web.url(8000) + "/hostname", timeout=60) as page:
        assert page.status == 200
    assert applied.drift().drifts == ()
    assert str(next(iter(applied.state().resources))) in ("catalogue.base", *applied.addresses)


def test_logs_have_what_start_command_prints(applied: nexus.Project) -> None:
    web = applied.sandbox("web")
    following = web.follow_logs(lines=1)
    next(following)
    with urllib.request.urlopen(web.url(8000) + "/hosts", timeout=60) as page:
        assert page.status == 200
    assert any("GET /hosts" in entry.message for entry in following)
    assert any("GET /hosts" in entry.message and entry.fields["source"] == "start" for entry in web.logs().entries)
    following.close()


def test_logs_are_read_and_followed(applied: nexus.Project) -> None:
    web = applied.sandbox("web")
    assert web.logs(lines=1).entries
    first = next(web.follow_logs(lines=1))
    assert first == web.logs(lines=1).entries[0] or first in web.logs(lines=1000).entries


def test_a_paused_sandbox_says_what_to_do_and_starts_again(applied: nexus.Project) -> None:
    web = applied.sandbox("web")
    web.stop()
    try:
        with pytest.raises(nexus.NexusError) as caught:
            web.e2b()
        assert (caught.value.diagnostics[0].code, caught.value.diagnostics[0].address) == (
            "sandbox-not-running",
            "sandbox.web",
        )
    finally:
        moved = web.start(lifetime=600)
    assert moved.after.status == "running"
    assert web.extend(7200).after.expires_at > moved.after.expires_at


def test_sandboxes_that_no_plan_knows_of(applied: nexus.Project) -> None:
    account = nexus.Account(target="local")
    fork = applied.sandbox("web").fork(lifetime=120)
    (forked,) = fork.ids
    assert account.sandbox(forked).exec("echo forked").stdout == "forked\n"
    assert forked in {item.id for item in account.list().sandboxes}
    assert account.sandbox(forked).delete().sandbox.id == forked
    with pytest.raises(nexus.NexusError, match="sandbox-not-found"):
        account.sandbox(forked).status()


def objects(state: nexus.State) -> dict[str, str]:
    """Ids by address, of all but the runs of steps: nothing out there tells of those."""
    return {str(address): record.id for address, record in state.resources.items() if address.kind != "step"}


def test_what_is_remembered_can_be_looked_up_moved_and_rebuilt(applied: nexus.Project) -> None:
    before = applied.state()
    newest = applied.run_record()
    assert [item.summary.head.id for item in applied.runs(limit=1)] == [newest.head.id]
    assert isinstance(applied.run_log(newest.operations[0].id, newest.head.id), str)
    applied.move("sandbox.web", "sandbox.moved")
    assert "sandbox.moved" in map(str, applied.state().resources)
    applied.forget("sandbox.moved")
    rebuilt = applied.rebuild_state()
    assert rebuilt.done
    assert objects(applied.state()) == objects(before)
    assert applied.unlock() is None
    with pytest.raises(nexus.NexusError, match="import"):
        applied.import_sandbox("sandbox.nope", "i" * 20)


def test_live_changes_are_made_beside_the_plan(applied: nexus.Project) -> None:
    web = applied.sandbox("web")
    done = web.configure(env_vars={"COLOUR": "green"}, run_commands=["echo done"])
    assert (done.env_updated, done.commands) == (1, 1)
    assert web.exec("echo $COLOUR").stdout == "green\n"
    web.configure(unset=["COLOUR"])


def test_a_name_that_means_nothing_names_the_nearest(applied: nexus.Project) -> None:
    with pytest.raises(nexus.NexusError) as caught:
        applied.sandbox("wep").exec("true")
    assert "web" in caught.value.diagnostics[0].hint


async def stream(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def test_input_comes_as_a_stream_and_output_is_kept_as_far_as_is_asked(applied: nexus.Project) -> None:
    web = applied.sandbox("web")
    assert web.exec("cat", stdin=stream([b"one ", b"two"])).stdout == "one two"
    ran = web.exec("seq 1 9999; exit 3", keep=100)
    assert len(ran.stdout) < 300
    assert ran.stdout.startswith("1\n2\n")
    problem = nexus.problem_of(ran, web.found())
    assert problem is not None
    assert (problem.code, problem.address) == ("execution-error", "sandbox.web")
    assert nexus.problem_of(web.exec("true"), web.found()) is None


async def test_a_terminal_is_there_for_a_block(applied: nexus.Project) -> None:
    said = bytearray()
    async with applied.asynchronous.sandbox("web").terminal(said.extend, columns=77) as shell:
        await shell.send(b"tput cols; exit 5\n")
        assert await shell.wait() == 5
    assert b"\r77\r\n" in said


def test_a_sandbox_is_made_beside_any_project_and_found_and_deleted(applied: nexus.Project, tmp_path: Path) -> None:
    folder = nexus.Folder(tmp_path, target="local")
    made = folder.create(name="by-hand", lifetime=120, env_vars={"KEY": "value"})
    try:
        handle = folder.sandbox(made.sandbox.id)
        assert handle.exec("echo $KEY").stdout == "value\n"
        assert handle.write("notes/a.txt", b"hello").target == "/home/user/notes/a.txt"
        assert handle.exec("cat notes/a.txt").stdout == "hello"
        assert handle.found().address == ""
        assert made.adoption == f"nexus import sandbox.by-hand {made.sandbox.id}"
        with pytest.raises(nexus.NexusError, match="not-editable"):
            handle.configure(env_vars={"A": "b"}, write=True)
    finally:
        deletion = folder.delete(folder.find(made.sandbox.id))
    assert [item.sandbox.id for item in deletion.deleted] == [made.sandbox.id]
    with pytest.raises(nexus.NexusError, match="sandbox-not-found"):
        folder.find(made.sandbox.id)
    assert folder.identity().startswith("local")


def test_a_written_change_leaves_nothing_to_plan(engine: Endpoint, tmp_path: Path) -> None:
    manifest = tmp_path / "nexus.yaml"
    head = f"apiVersion: nexus/v1\nproject: api-{secrets.token_hex(4)}\n"
    manifest.write_text(f"{head}sandboxes:\n  web: {{env_vars: {{A: b}}}}\n")
    process = {**os.environ, "NEXUS_HOME": str(engine.home), "NEXUS_TARGET": "local"}
    project = nexus.load(tmp_path, process=process)
    project.apply()
    try:
        told: list[str] = []
        with pytest.raises(nexus.NexusError, match="secret-in-manifest"):
            project.sandbox("web").configure(env_vars={"A": nexus.Sensitive("x")}, write=True)
        project.sandbox("web").configure(
            env_vars={"A": "c"}, run_commands=["echo hi"], write=True, on_progress=told.append
        )
        assert "{A: c}" in manifest.read_text()
        assert told
        assert nexus.load(tmp_path, process=process).plan().is_empty
    finally:
        project.destroy()
