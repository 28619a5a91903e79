"""What an engine does about files it cannot read, and about another daemon that is there first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from e2b import Sandbox

from nexus.local import daemon
from tests.local.engine_client import rest, sdk

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not valid JSON"),
        ("[]", "does not hold a JSON object"),
        ('{"format": 99}', "format 99, of a newer nexus"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused_by_name_and_nothing_is_lost(
    engine_home: Path, content: str, words: str
) -> None:
    endpoint = daemon.ensure_running(engine_home)
    sandbox = Sandbox.create(timeout=600, **sdk(endpoint))
    sandbox.files.write("kept", "precious")
    with rest(endpoint) as client:
        volume = client.post("/volumes", json={"name": "kept"}).json()["volumeID"]
    daemon.stop(engine_home)
    records = [
        engine_home / "records" / "sandboxes" / f"{sandbox.sandbox_id}.json",
        engine_home / "volumes" / f"{volume}.json",
    ]
    originals = [record.read_bytes() for record in records]
    for record in records:
        record.write_text(content)
    with pytest.raises(daemon.DaemonError) as refusal:
        daemon.ensure_running(engine_home)
    for record in records:
        assert str(record) in str(refusal.value)
    assert words in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    for record, original in zip(records, originals, strict=True):
        record.write_bytes(original)
    endpoint = daemon.ensure_running(engine_home)
    assert Sandbox.connect(sandbox.sandbox_id, **sdk(endpoint)).files.read("kept") == "precious"
    with rest(endpoint) as client:
        assert [item["name"] for item in client.get("/volumes").json()] == ["kept"]


def test_a_second_daemon_is_told_who_was_first(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    second = subprocess.run(
        [sys.executable, "-m", "nexus.local", "--home", str(engine_home)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert second.returncode == 1
    assert f"an engine already runs for {engine_home}: process {endpoint.pid}, since 20" in second.stderr
    assert "Traceback" not in second.stderr
    assert Sandbox.list(**sdk(endpoint)).next_items() == []


def test_isolation_is_remembered_and_not_changed_under_sandboxes(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    tier = str((daemon.status(engine_home) or {})["tier"])
    assert daemon.ensure_running(engine_home, isolation=tier).pid == endpoint.pid
    with pytest.raises(daemon.DaemonError, match="cannot change to chroot"):
        daemon.ensure_running(engine_home, isolation="chroot")
    daemon.stop(engine_home)
    daemon.ensure_running(engine_home)
    assert (daemon.status(engine_home) or {})["tier"] == tier
    assert (engine_home / "isolation.json").exists()
    daemon.ensure_running(engine_home, isolation="auto")
    assert not (engine_home / "isolation.json").exists()


def test_an_unknown_isolation_is_refused_by_name(engine_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_LOCAL_ISOLATION", "vm")
    with pytest.raises(daemon.DaemonError, match="no isolation tier is called 'vm'"):
        daemon.ensure_running(engine_home)


def test_the_log_is_followed_as_it_grows_and_turns_over(engine_home: Path) -> None:
    path = daemon.log_file(engine_home)
    path.parent.mkdir(parents=True)
    path.write_text("one\ntwo\n")
    lines = daemon.follow_logs(engine_home, 1, poll=0.01)
    assert next(lines) == "two"
    with path.open("a") as log:
        log.write("three\nfour")
    assert next(lines) == "three"
    with path.open("a") as log:
        log.write(" and a half\n")
    assert next(lines) == "four and a half"
    path.rename(path.with_name("daemon.log.1"))
    path.write_text("five\n")
    assert next(lines) == "five"
    lines.close()
