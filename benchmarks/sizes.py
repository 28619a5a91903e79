"""How far it goes: time and peak memory of plans of 100 to 10,000 sandboxes, many files, a large file, many machines.

    python benchmarks/sizes.py [--only plan,files,large,apply,real] [--real 1000]

``plan`` and ``apply`` talk to a control plane that only remembers (`control_plane.py`); growth is linear where the cost
of one resource stays the same from size to size. ``files`` (10,000 of them) and ``large`` (one of 2 GB) upload into a
sandbox of a local engine of the script's own, ``real`` applies so many real sandboxes there, and takes them down again.
It stops asking for more where the machine has no room. Memory is the peak of the process (of the engine's daemon too).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plan_speed import free_port, nexus_project

from nexus.local import daemon

NEXUS = [sys.executable, "-m", "nexus"]
PLANS = (100, 1_000, 10_000)
FILES = 10_000
LARGE = 2_000_000_000
MIB = 2**20
ONE_MACHINE = 12 * MIB
"""What an idle sandbox takes at most."""
SPARE = 2048 * MIB
"""What is left to the rest of the machine."""


@dataclass(frozen=True, slots=True)
class Measured:
    """``cpu`` is in seconds too, and tells more where the machine does other work; ``peak`` is in bytes."""

    seconds: float
    cpu: float
    peak: int


def run(arguments: list[str], folder: Path, environment: dict[str, str]) -> Measured:
    """One run of nexus, which has to succeed."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*NEXUS, *arguments], cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"nexus {' '.join(arguments)} failed\n{said.read().decode()[-3000:]}")
    return Measured(time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def row(what: str, found: Measured, *, count: int = 0, beside: str = "") -> None:
    each = f"{found.cpu / count * 1000:7.2f} ms each" if count else " " * 15
    times = f"{found.seconds:8.2f} s, CPU {found.cpu:7.2f} s {each}"
    print(f"{what:<34} {times} {found.peak / MIB:6.0f} MiB  {beside}", flush=True)


def plain_environment(scratch: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("E2B_", "NEXUS_"))}
    return {**kept, "NEXUS_HOME": str(scratch / "home"), "NO_COLOR": "1"}


@contextmanager
def remembering(scratch: Path) -> Iterator[dict[str, str]]:
    """The environment in which nexus talks to a control plane that only remembers."""
    port = free_port()
    server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("control_plane.py")), str(port)])
    try:
        yield {
            **plain_environment(scratch),
            "E2B_API_KEY": "e2b_" + "0" * 40,
            "E2B_API_URL": f"http://127.0.0.1:{port}",
            "NEXUS_TARGET": "e2b",
        }
    finally:
        server.terminate()
        server.wait()


def measure_plans(scratch: Path, sizes: tuple[int, ...] = PLANS) -> None:
    """With nothing made. What each more costs tells whether growth is linear: the program's start is no part of it."""
    smaller: tuple[int, Measured] | None = None
    with remembering(scratch) as environment:
        for size in sizes:
            folder = scratch / f"plan-{size}"
            folder.mkdir()
            nexus_project(folder, size)
            run(["plan"], folder, environment)  # compiles what was never compiled
            found = run(["plan"], folder, environment)
            row(f"plan of {size:,} new sandboxes", found, count=size, beside=_each_more(smaller, size, found))
            smaller = (size, found)


def _each_more(smaller: tuple[int, Measured] | None, size: int, found: Measured) -> str:
    if smaller is None:
        return ""
    more, before = size - smaller[0], smaller[1]
    cpu, memory = (found.cpu - before.cpu) / more * 1000, (found.peak - before.peak) / more / 1024
    return f"each more: {cpu:.2f} ms, {memory:.0f} KiB"


def measure_apply(scratch: Path, size: int = 1_000) -> None:
    with remembering(scratch) as environment:
        folder = scratch / "apply"
        folder.mkdir()
        nexus_project(folder, size)
        row(
            f"apply of {size:,} (remembered)",
            run(["apply", "-y", "--parallelism", "64"], folder, environment),
            count=size,
        )
        row(f"plan of {size:,} unchanged", run(["plan", "--detailed-exitcode"], folder, environment), count=size)


@contextmanager
def engine(scratch: Path) -> Iterator[dict[str, str]]:
    """The environment in which nexus works on an engine of its own, of which nothing stays."""
    home = scratch / "home"
    daemon.ensure_running(home)
    try:
        yield {**plain_environment(scratch), "NEXUS_TARGET": "local"}
    finally:
        daemon.reset(home)


def daemon_peak(scratch: Path) -> str:
    """The peak of the engine's daemon since it was started."""
    pid = (daemon.status(scratch / "home") or {})["pid"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return f"daemon {peak / MIB:.0f} MiB"


def measure_upload(scratch: Path, name: str, fill: str, beside: int) -> None:
    folder = scratch / name
    (folder / "data").mkdir(parents=True)
    if fill == "many":
        for number in range(beside):
            place = folder / "data" / str(number % 100)
            place.mkdir(exist_ok=True)
            (place / f"{number}.txt").write_text(f"{number}\n" * 20)
    else:
        with (folder / "data" / "large").open("wb") as file:
            block = os.urandom(MIB)
            for _ in range(beside // MIB):
                file.write(block)
    manifest = "sandboxes: {box: {timeout: 1h, uploads: [{source: ./data/, path: /srv/data}]}}"
    (folder / "nexus.yaml").write_text(f"apiVersion: nexus/v1\nproject: {name}\n{manifest}\n")
    with engine(scratch) as environment:
        first = folder / "first"
        first.mkdir()
        (first / "nexus.yaml").write_text("apiVersion: nexus/v1\nproject: first\nsandboxes: {box: {timeout: 1m}}\n")
        run(["apply", "-y"], first, environment)  # builds the template
        found = run(["apply", "-y"], folder, environment)
        what = f"upload of {beside:,} files" if fill == "many" else f"upload of one file of {beside / 1e9:.1f} GB"
        row(what, found, beside=daemon_peak(scratch))
        row("  plan of the same, unchanged", run(["plan", "--detailed-exitcode"], folder, environment))
    shutil.rmtree(folder)


def available() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def measure_real(scratch: Path, wanted: int) -> None:
    size = min(wanted, (available() - SPARE) // ONE_MACHINE)
    folder = scratch / "real"
    folder.mkdir()
    manifest = f"sandboxes: {{box: {{timeout: 2h, count: {size}}}}}"
    (folder / "nexus.yaml").write_text(f"apiVersion: nexus/v1\nproject: real\n{manifest}\n")
    with engine(scratch) as environment:
        first = folder / "first"
        first.mkdir()
        (first / "nexus.yaml").write_text("apiVersion: nexus/v1\nproject: first\nsandboxes: {box: {timeout: 1m}}\n")
        run(["apply", "-y"], first, environment)
        before = available()
        found = run(["apply", "-y", "--parallelism", "32"], folder, environment)
        each = (before - available()) / size / MIB
        row(
            f"apply of {size:,} real sandboxes",
            found,
            count=size,
            beside=f"{each:.1f} MiB each, {daemon_peak(scratch)}",
        )
        row("  plan of the same, unchanged", run(["plan", "--detailed-exitcode"], folder, environment), count=size)
        listed = subprocess.run(
            [*NEXUS, "list", "--json"], cwd=folder, env=environment, check=True, capture_output=True
        ).stdout
        print(f"  {len(json.loads(listed).get('sandboxes', []))} are listed", flush=True)
        row("  destroy of the same", run(["destroy", "-y", "--parallelism", "32"], folder, environment), count=size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="plan,apply,files,large,real")
    parser.add_argument("--real", type=int, default=1_000, help="how many real sandboxes to apply")
    options = parser.parse_args()
    parts = options.only.split(",")
    with tempfile.TemporaryDirectory(prefix="nexus-sizes-") as folder:
        scratch = Path(folder)
        if "plan" in parts:
            measure_plans(scratch)
        if "apply" in parts:
            measure_apply(scratch)
        if "files" in parts:
            measure_upload(scratch, "files", "many", FILES)
        if "large" in parts:
            measure_upload(scratch, "large", "one", LARGE)
        if "real" in parts:
            measure_real(scratch, options.real)


if __name__ == "__main__":
    main()
