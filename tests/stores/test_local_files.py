from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import State
from nexus.stores import Done, Durations, Failed, Header, LockInfo, commit, load, local_backend, locking
from nexus.stores.files import Files
from nexus.stores.locking import LEASE
from nexus.stores.statefile import decode
from tests.fakes.files import Crash, CrashingFiles, FullDisk
from tests.fakes.records import WEB, make_record
from tests.stores.conformance import BEGIN, DONE, INFO

FRESH = State(lineage="lin", project="shop")


async def one_run(project: Path, files: Files, acknowledged: list[str]) -> None:
    """A run that records two resources and writes its state, telling what it was told to be safe."""
    backend = local_backend(project, "default", files)
    loaded = await load(backend, FRESH)
    acknowledged.append("begun")

    await backend.journal.start(Header.of(loaded.state))
    await backend.journal.append(BEGIN)
    acknowledged.append("intent")
    await backend.journal.append(DONE)
    acknowledged.append("done")
    await commit(backend, (await load(backend, FRESH)).state)
    acknowledged.append("committed")


def test_a_crash_before_any_step_loses_nothing_that_was_said_to_be_safe(tmp_path: Path) -> None:
    whole = CrashingFiles(10**6)
    asyncio.run(one_run(tmp_path / "whole", whole, []))
    assert whole.steps > 10
    for crash_at in range(whole.steps):
        project = tmp_path / str(crash_at)
        acknowledged: list[str] = []
        with pytest.raises(Crash):
            asyncio.run(one_run(project, CrashingFiles(crash_at), acknowledged))
        state = asyncio.run(recovered(project))
        if "done" in acknowledged:
            assert state.resources == {WEB: DONE.record}
        elif "intent" in acknowledged and not state.resources:
            assert state.pending == (BEGIN.intent,)
        assert state.verify() == ()


async def recovered(project: Path) -> State:
    """What the next run makes of it: it must load, commit, load again the same, and run once more."""
    backend = local_backend(project, "default")
    loaded = await load(backend, FRESH)
    written = await commit(backend, loaded.state)
    assert (await load(local_backend(project, "default"), FRESH)).state == written
    await one_run(project, Files(), [])
    return loaded.state


def test_a_crash_while_a_state_is_replaced_leaves_the_old_or_the_new_one(tmp_path: Path, full_state: State) -> None:
    newer = replace(full_state, serial=8, project="renamed")

    async def write(project: Path, files: Files) -> None:
        await local_backend(project, "default").states.write(full_state, 0)
        await local_backend(project, "default", files).states.write(newer, 7)

    whole = CrashingFiles(10**6)
    asyncio.run(write(tmp_path / "whole", whole))
    for crash_at in range(whole.steps):
        project = tmp_path / str(crash_at)
        with pytest.raises(Crash):
            asyncio.run(write(project, CrashingFiles(crash_at)))
        assert asyncio.run(local_backend(project, "default").states.read()) in (full_state, newer)


async def test_the_state_before_is_kept_as_a_backup(tmp_path: Path, full_state: State) -> None:
    backend = local_backend(tmp_path, "default")
    await backend.states.write(full_state, 0)
    await backend.states.write(replace(full_state, serial=8), 7)
    assert decode((tmp_path / ".nexus/default/state.json.backup").read_bytes()) == full_state


async def test_everything_belongs_to_the_user_alone_and_stays_out_of_git(tmp_path: Path, full_state: State) -> None:
    old = os.umask(0)
    try:
        backend = local_backend(tmp_path, "default")
        await backend.lock.acquire(INFO)
        await backend.states.write(full_state, 0)
        await backend.states.write(replace(full_state, serial=8), 7)

        await backend.journal.start(Header.of(full_state))
        await backend.journal.append(BEGIN)
    finally:
        os.umask(old)
    for path in (tmp_path / ".nexus").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / ".nexus").stat().st_mode) == 0o700
    assert (tmp_path / ".nexus/.gitignore").read_text() == "*\n"
    assert {path.name for path in (tmp_path / ".nexus/default").iterdir()} == {
        "journal.jsonl",
        "lock",
        "state.json",
        "state.json.backup",
    }
    await backend.journal.clear()
    await backend.lock.release()


class InStep(Files):
    """Puts no file in its place before the other side is about to do the same."""

    def __init__(self, both: threading.Barrier) -> None:
        self._both = both

    def rename(self, source: Path, destination: Path) -> None:
        self._both.wait(30)
        super().rename(source, destination)


def test_two_environments_that_are_used_for_the_first_time_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """They share a folder, with its .gitignore and what operations took, and no lock."""
    both = threading.Barrier(2)

    async def first_run(environment: str) -> None:
        backend = local_backend(tmp_path, environment, InStep(both))
        await backend.lock.acquire(INFO)
        await backend.durations.write(Durations({environment: 1.0}))
        await backend.lock.release()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: asyncio.run(first_run(name)), ("dev", "prod")))
    folder = tmp_path / ".nexus"
    assert (folder / ".gitignore").read_text() == "*\n"
    assert asyncio.run(local_backend(tmp_path, "dev").durations.read()) in (
        Durations({"dev": 1.0}),
        Durations({"prod": 1.0}),
    )
    assert {path.name for path in folder.iterdir()} == {".gitignore", "durations.json", "dev", "prod"}


async def test_reading_makes_nothing(tmp_path: Path) -> None:
    backend = local_backend(tmp_path, "default")
    await load(backend, FRESH)
    await backend.lock.holder()
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_keeps_the_old_state_and_says_so(tmp_path: Path, full_state: State) -> None:
    await local_backend(tmp_path, "default").states.write(full_state, 0)
    with pytest.raises(DiagnosticsError) as problem:
        await local_backend(tmp_path, "default", FullDisk(10)).states.write(replace(full_state, serial=8), 7)
    assert problem.value.diagnostics[0].code == "disk-full"
    assert await local_backend(tmp_path, "default").states.read() == full_state


async def test_a_full_disk_ends_the_journal_where_it_was_safe(tmp_path: Path) -> None:

    files = FullDisk(10**6)
    backend = local_backend(tmp_path, "default", files)
    await backend.journal.start(Header.of(FRESH))
    await backend.journal.append(BEGIN)
    files.room = 20
    with pytest.raises(DiagnosticsError) as problem:
        await backend.journal.append(DONE)
    assert problem.value.diagnostics[0].code == "disk-full"
    files.room = 10**6
    with pytest.raises(DiagnosticsError):
        await backend.journal.append(Failed(key="later", code="c", summary="s"))
    contents = await local_backend(tmp_path, "default").journal.read()
    assert contents is not None
    assert contents.entries == (BEGIN,)
    assert contents.torn
    await backend.journal.clear()


class ForbiddenFiles(Files):
    def read(self, path: Path) -> bytes | None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


async def test_a_file_that_may_not_be_read_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticsError) as problem:
        await load(local_backend(tmp_path, "default", ForbiddenFiles()), FRESH)
    assert problem.value.diagnostics[0].code == "state-no-permission"
    assert "permissions" in problem.value.diagnostics[0].hint


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden"])
def test_an_environment_can_not_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DiagnosticsError):
        local_backend(tmp_path, name)


HOLD = """
import asyncio, sys
from pathlib import Path
from nexus.stores import LockInfo, local_backend

async def hold():
    backend = local_backend(Path(sys.argv[1]), "default")
    await backend.lock.acquire(LockInfo(holder="bob@there", pid=7, operation="destroy", since="2026-01-02T03:04:05Z"))
    print("held", flush=True)
    sys.stdin.read()

asyncio.run(hold())
"""


async def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        backend = local_backend(tmp_path, "default")
        with pytest.raises(DiagnosticsError, match="state-locked") as problem:
            await backend.lock.acquire(INFO)
        assert "bob@there (process 7) is running «nexus destroy»" in problem.value.diagnostics[0].detail
        process.kill()
        process.wait(60)
    await backend.lock.acquire(LockInfo(holder="me", pid=1, operation="apply", since=""), patience=5)
    await backend.lock.release()


async def test_a_cancelled_append_still_gets_to_the_disk(tmp_path: Path) -> None:

    backend = local_backend(tmp_path, "default")
    await backend.journal.start(Header.of(FRESH))
    append = asyncio.create_task(backend.journal.append(Done(key="k", record=make_record(WEB, "u"))))
    await asyncio.sleep(0)
    append.cancel()
    with pytest.raises(asyncio.CancelledError):
        await append
    await backend.journal.append(BEGIN)
    contents = await local_backend(tmp_path, "default").journal.read()
    assert contents is not None
    assert len(contents.entries) == 2
    await backend.journal.clear()


async def test_a_holder_that_gave_no_sign_of_life_is_replaced(tmp_path: Path) -> None:
    first, second = local_backend(tmp_path, "default"), local_backend(tmp_path, "default")
    await first.lock.acquire(INFO)
    long_ago = time.time() - LEASE - 1
    os.utime(tmp_path / ".nexus/default/lock", (long_ago, long_ago))
    later = replace(INFO, pid=43, id="lock2")
    assert await second.lock.acquire(later) == INFO
    assert await local_backend(tmp_path, "default").lock.holder() == later
    with pytest.raises(DiagnosticsError, match="lock-lost"):
        await first.lock.verify()
    await first.lock.release()
    await second.lock.verify()
    await second.lock.release()


async def test_who_only_asks_for_the_holder_is_not_taken_for_one(tmp_path: Path) -> None:
    """However long that takes on a busy machine."""
    backend = local_backend(tmp_path, "default")
    await backend.lock.acquire(INFO)
    await backend.lock.release()
    asks = os.open(tmp_path / ".nexus/default/lock", os.O_RDONLY)
    fcntl.flock(asks, fcntl.LOCK_SH)
    asyncio.get_running_loop().call_later(0.2, os.close, asks)
    await backend.lock.acquire(INFO)
    await backend.lock.release()


async def test_who_has_just_taken_the_lock_of_one_that_was_killed_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has signed, the lock bears the name of the killed one, who has given no sign of life for long."""
    first, second = local_backend(tmp_path, "default"), local_backend(tmp_path, "default")
    file = tmp_path / ".nexus/default/lock"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(asdict(INFO)))
    long_ago = time.time() - LEASE - 1
    os.utime(file, (long_ago, long_ago))
    refusals: list[DiagnosticsError] = []
    write_note = locking._write_note

    def written_late(descriptor: int, info: LockInfo) -> None:
        monkeypatch.setattr(locking, "_write_note", write_note)
        with pytest.raises(DiagnosticsError, match="state-locked") as refused, ThreadPoolExecutor() as thread:
            thread.submit(asyncio.run, second.lock.acquire(replace(INFO, pid=43, id="lock2"))).result()
        refusals.append(refused.value)
        write_note(descriptor, info)

    monkeypatch.setattr(locking, "_write_note", written_late)
    assert await first.lock.acquire(replace(INFO, pid=42, id="lock1")) is None
    await first.lock.verify()
    assert len(refusals) == 1
    await first.lock.release()


async def test_a_lock_file_that_was_removed_is_a_lost_lock(tmp_path: Path) -> None:
    first, second = local_backend(tmp_path, "default"), local_backend(tmp_path, "default")
    await first.lock.acquire(INFO)
    (tmp_path / ".nexus/default/lock").unlink()
    with pytest.raises(DiagnosticsError, match="lock-lost"):
        await first.lock.verify()
    assert await second.lock.acquire(replace(INFO, id="lock2")) is None
    await first.lock.release()
    await second.lock.verify()
    await second.lock.release()
