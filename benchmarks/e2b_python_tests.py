"""What share of E2B's own tests of its Python SDK pass against a local engine.

    git clone https://github.com/e2b-dev/E2B
    python benchmarks/e2b_python_tests.py E2B/packages/python-sdk/tests

The folder may also come from ``E2B_PYTHON_TESTS``; without one there is nothing to run. The tests are run as they are,
on an engine of the script's own that is removed afterwards; further arguments go to pytest (``-k watch``). Check out
the version of the installed ``e2b``. Only live tests count: those that reach a server. Of those that fail, the ones
that name a host of the public internet are counted apart when this machine can't reach it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from e2b_python_plugin import PUBLIC_HOST

from nexus.local import daemon
from nexus.local.clients import resolves_sandbox_names

HERE = Path(__file__).parent
OUTCOMES = ("passed", "failed", "need the public internet", "skipped by the suite")


@dataclass(frozen=True, slots=True)
class Outcome:
    test: str
    kind: str
    reason: str


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("E2B_PYTHON_TESTS"), help="the suite's folder")
    parser.add_argument("--workers", type=int, default=2, help="how many tests at a time")
    options, more = parser.parse_known_args()
    if not options.folder:
        print("nothing to run: name the folder of the suite, or set E2B_PYTHON_TESTS")
        return 0
    folder = Path(options.folder).absolute()
    if not folder.is_dir():
        parser.error(f"there is no folder {folder}")
    with tempfile.TemporaryDirectory(prefix="nexus-suite-") as scratch:
        report = Path(scratch) / "report.xml"
        home = Path(scratch) / "home"
        daemon.ensure_running(home)
        try:
            run_suite(folder, report, client_environment(home), [f"--numprocesses={options.workers}", *more])
        finally:
            daemon.reset(home)
        outcomes = list(read_report(report, online=is_online())) if report.exists() else []
    show(outcomes)
    return 0 if outcomes and not any(outcome.kind == "failed" for outcome in outcomes) else 1


def client_environment(home: Path) -> dict[str, str]:
    """This process's environment, pointed at the engine as ``nexus local env`` does it."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("E2B_")}
    return {**others, **daemon.client_environment(home, others)}


def run_suite(folder: Path, report: Path, environment: Mapping[str, str], more: list[str]) -> None:
    """The suite's own options hide its live tests, so they are replaced by what it needs of them."""
    command = [sys.executable, "-m", "pytest", str(folder), "-p", "e2b_python_plugin", "-q", "--tb=short"]
    command += ["-o", "addopts=", "-o", "asyncio_mode=auto", "-o", f"pythonpath={folder}", "--import-mode=importlib"]
    command += ["-p", "no:cacheprovider", f"--junitxml={report}", *more]
    path = os.pathsep.join(filter(None, (str(HERE), environment.get("PYTHONPATH"))))
    subprocess.run(command, cwd=folder.parent, env={**environment, "PYTHONPATH": path}, check=False)


def read_report(report: Path, *, online: bool) -> Iterator[Outcome]:
    for case in ElementTree.parse(report).iter("testcase"):
        failure = next((case.find(tag) for tag in ("failure", "error") if case.find(tag) is not None), None)
        hosts = [item.get("value") for item in case.iter("property") if item.get("name") == PUBLIC_HOST]
        if failure is not None:
            kind = "need the public internet" if hosts and not online else "failed"
            reason = (failure.get("message") or "").partition("\n")[0]
        else:
            kind, reason = ("skipped by the suite" if case.find("skipped") is not None else "passed"), ""
        yield Outcome(f"{case.get('classname')}::{case.get('name')}", kind, reason)


def is_online() -> bool:
    """Whether a public host itself answers, and not something on the way that takes every connection."""
    try:
        return httpx.head("https://1.1.1.1", timeout=5).has_redirect_location
    except httpx.HTTPError:
        return False


def show(outcomes: list[Outcome]) -> None:
    print(f"\nE2B's tests of its Python SDK, with e2b {importlib.metadata.version('e2b')}, on the local engine")
    if not resolves_sandbox_names():
        print("(names under localhost do not resolve on this machine; the tests were helped to resolve them)")
    counts = Counter(outcome.kind for outcome in outcomes)
    print(f"{'live tests':26}{len(outcomes):5}")
    for kind in OUTCOMES:
        print(f"{kind:26}{counts[kind]:5}")
    for outcome in outcomes:
        if outcome.kind == "failed":
            print(f"  {outcome.test}: {outcome.reason}")


if __name__ == "__main__":
    sys.exit(main())
