"""A build's log: what people read of it, and which step a failure is about."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime

import pytest
from e2b.exceptions import BuildException
from e2b.template.logger import LogEntry, LogEntryEnd, LogEntryStart

from nexus.providers.e2b.build_log import BuildLog, BuildStep, what_is_printed
from tests.providers.subject import RecordingReport

AT = datetime(2026, 11, 23, tzinfo=UTC)
INSTALL = BuildStep(script="long\n\nscript of nexus", said="apt: installing jq", field="packages")
MAKE = BuildStep(script="cd /app\nmake", said="cd /app\nmake", field="run_commands[0]")


@pytest.fixture
def report() -> RecordingReport:
    return RecordingReport()


@pytest.fixture
def log(report: RecordingReport) -> BuildLog:
    return BuildLog((INSTALL, MAKE), report)


def write(log: BuildLog, *messages: str) -> None:
    for message in messages:
        log(LogEntry(AT, "info", message))


def test_scripts_of_nexus_are_told_by_what_they_do(log: BuildLog, report: RecordingReport) -> None:
    write(log, f"[builder 1/2] RUN {INSTALL.command}", "[builder 1/2] [stdout]: Reading package lists...")
    write(log, f"CACHED [builder 2/2] RUN {MAKE.command}")
    assert [line for _, line in report.lines] == [
        "[builder 1/2] RUN apt: installing jq",
        "Reading package lists...",
        "CACHED [builder 2/2] RUN cd /app",
        "make",
    ]


def test_what_the_sdk_does_for_a_build_is_not_told(log: BuildLog, report: RecordingReport) -> None:
    log(LogEntryStart(AT, "Build started"))
    write(log, "Requesting build for template: shop--dev--app", "Uploaded 'upload-0/file'", "Waiting for logs...")
    write(log, "Template created with ID: t, Build ID: b")
    log(LogEntryEnd(AT, "Build finished"))
    assert [line for _, line in report.lines] == ["Template created with ID: t, Build ID: b"]


def test_a_failure_has_the_output_of_its_step_alone(log: BuildLog) -> None:
    write(log, f"[builder 1/2] RUN {INSTALL.command}", "[builder 1/2] [stdout]: installed")
    write(log, f"[builder 2/2] RUN {MAKE.command}", "[builder 2/2] [stderr]: make: *** No targets.")
    problem = BuildException(f"failed to run command '{MAKE.command}': exit status 2")
    assert log.failed_step(problem) is MAKE
    assert log.told(problem) == "make: *** No targets.\nexit status 2"


def test_a_failure_of_what_is_started_is_about_no_step(log: BuildLog) -> None:
    write(log, f"[builder 2/2] RUN {MAKE.command}", "[finalize] Starting: serve", "[finalize] [stderr]: no such file")
    problem = BuildException("failed to run start command 'serve': exit status 127")
    assert log.failed_step(problem) is None
    assert log.is_finalizing
    assert log.told(problem) == "no such file\nfailed to run start command 'serve': exit status 127"


def test_what_is_printed_in_two_threads_at_once_leaves_neither_without_its_output() -> None:
    """Of two that overlapped, the first would give stdout back, and the second the buffer of the first."""
    begun, over, before = threading.Event(), threading.Event(), sys.stdout

    def second() -> None:
        with what_is_printed():
            begun.set()
            over.wait(30)

    with what_is_printed() as printed:
        thread = threading.Thread(target=second)
        thread.start()
        begun.wait(0.2)  # in vain, unless they can overlap
        print("one")  # noqa: T201 - as the SDK does
    over.set()
    thread.join()
    assert (sys.stdout is before, printed.getvalue()) == (True, "one\n")
