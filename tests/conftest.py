"""Fixtures for every folder: a local engine of the test session's own."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest

from nexus.local import daemon
from nexus.local.daemon import Endpoint

# A run in the background is started with Ctrl-C ignored, and every process of its tests would be too.
signal.signal(signal.SIGINT, signal.default_int_handler)


# What is drawn is drawn the same each time: whether a change may land must not hang on chance. To look further,
# «make campaign» draws anew, and so does any test with --hypothesis-profile=default.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")


# Whoever asks without saying how long to wait waits for five seconds, which a busy machine may need for an answer.
_patience = httpx._config.DEFAULT_TIMEOUT_CONFIG
_patience.connect = _patience.read = _patience.write = _patience.pool = 60.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="Write the golden files anew, to be looked at in the diff."
    )


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """A running engine with its own home and the controls for tests; nothing of it is left after the session."""
    with session_engine(request) as endpoint:
        yield endpoint


@contextmanager
def session_engine(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """What the fixture ``engine`` is, for a folder whose tests need one apart: because they move its clock."""
    home = Path(tempfile.mkdtemp(prefix="nexus-engine-"))
    try:
        yield daemon.ensure_running(home, test_controls=True)
    finally:
        if request.session.testsfailed:
            sys.stderr.write("\n".join(["", "The engine's log:", *daemon.logs(home, 60), ""]))
        daemon.reset(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def accounts_apart(engine: Endpoint) -> None:
    """For tests of who owns and may read what: an ordinary user's sandboxes have one uid for all their accounts."""
    if (daemon.status(engine.home) or {}).get("tier") == "rootless1":
        pytest.skip("in this tier all accounts of a sandbox share one uid")


@pytest.fixture
def engine_home() -> Iterator[Path]:
    """The home of an engine for one test alone, which may start, break and stop it."""
    home = Path(tempfile.mkdtemp(prefix="nexus-engine-"))
    try:
        yield home
    finally:
        daemon.reset(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def sdk_options(engine: Endpoint) -> dict[str, Any]:
    """What every call of the e2b SDK takes to reach the session's engine."""
    return dict(engine.sdk_options())
