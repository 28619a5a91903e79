"""How fast the local engine is, and how much of the machine its sandboxes take.

    python benchmarks/local_engine.py [--sandboxes 200] [--only latency,memory,…] [--home FOLDER]

Everything goes through the official SDK, in one run, on an engine of the script's own that is removed afterwards.
Beside the figures stands the *loop*: how long this machine took, before and after, for one fixed piece of computing. On
another machine, or beside other work, compare ratios to it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2b import AsyncSandbox, Sandbox, Template

from nexus.local import daemon

MIB = 1024 * 1024
LAYERS = (0, 5, 20, 50)
GOALS = {
    "create to first command, median": "100 ms",
    "command round trip, median": "10 ms",
    "PSS of one more idle sandbox": "10 MiB",
}
Options = dict[str, Any]
Figures = dict[str, str]


def loop_ms() -> float:
    """One million additions: the best of five, in milliseconds."""

    def once() -> float:
        begin = time.perf_counter()
        total = 0
        for number in range(1_000_000):
            total += number
        return time.perf_counter() - begin

    return min(once() for _ in range(5)) * 1000


def timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000


def spread(samples: list[float]) -> str:
    cut = statistics.quantiles(samples, n=20)
    return f"{statistics.median(samples):.1f} ms median, {cut[-1]:.1f} ms p95 ({len(samples)} times)"


# -- one sandbox after another


def measure_latency(options: Options) -> Figures:
    def whole() -> None:
        made.append(Sandbox.create(**options))
        made[-1].commands.run("true")

    made: list[Sandbox] = []
    whole()
    starts = [timed(whole) for _ in range(40)]
    one = made[0]
    trips = [timed(lambda: one.commands.run("true")) for _ in range(100)]
    ends = [timed(sandbox.kill) for sandbox in made]
    return {
        "create to first command": spread(starts),
        "command round trip": spread(trips),
        "kill": spread(ends),
    }


def measure_layers(options: Options) -> Figures:
    """Create time over the number of layers a template has."""
    figures = {}
    account = {name: options[name] for name in ("api_key", "api_url")}
    for count in LAYERS:
        template = Template().from_base_image()
        for number in range(count):
            template = template.run_cmd(f"echo {number} > /tmp/file{number}")
        name = "base"
        if count:
            name = f"layers-{count}"
            Template.build(template, name, **account)
        made = [Sandbox.create(name, **options)]
        samples = []
        for _ in range(20):
            begin = time.perf_counter()
            made.append(Sandbox.create(name, **options))
            samples.append((time.perf_counter() - begin) * 1000)
        for sandbox in made:
            sandbox.kill()
        figures[f"create on {count} layers"] = spread(samples)
    return figures


def measure_throughput(options: Options) -> Figures:
    sandbox = Sandbox.create(timeout=600, **options)
    data = os.urandom(64 * MIB)
    up = min(timed(lambda: sandbox.files.write("big", data)) for _ in range(3))
    down = min(timed(lambda: sandbox.files.read("big", format="bytes")) for _ in range(3))
    output = min(timed(lambda: sandbox.commands.run("head -c 20000000 /dev/zero | tr '\\0' x")) for _ in range(3))
    sandbox.kill()
    return {
        "upload of 64 MiB": f"{64 / up * 1000:.0f} MiB/s",
        "download of 64 MiB": f"{64 / down * 1000:.0f} MiB/s",
        "output of a command, 19 MiB": f"{20e6 / MIB / output * 1000:.0f} MiB/s",
    }


# -- memory


def measure_memory(options: Options, engine: int, count: int = 40) -> Figures:
    """What one more idle sandbox takes: its processes' share of pages, and what the kernel has left."""
    first = Sandbox.create(timeout=3600, **options)
    first.commands.run("true")
    before_pss, before_free = machine_pss(engine), available()
    rest = [Sandbox.create(timeout=3600, **options) for _ in range(count)]
    idle = (machine_pss(engine) - before_pss) / count
    for sandbox in rest:
        sandbox.commands.run("true")
    time.sleep(2.0)  # let the last of the commands' processes go
    used, free = (machine_pss(engine) - before_pss) / count, (before_free - available()) / count
    for sandbox in (first, *rest):
        sandbox.kill()
    return {
        "PSS of one more idle sandbox": f"{idle / MIB:.1f} MiB (of {count})",
        "the same after a command": f"{used / MIB:.1f} MiB",
        "memory available less, for each": f"{free / MIB:.1f} MiB (other work on the machine counts too)",
    }


def machine_pss(engine: int) -> int:
    """Of the processes of an engine's machines, their keepers and their inits; ``engine`` is the daemon's pid."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes().rstrip(b"\0")
            parents[int(process.name)] = (int((process / "stat").read_text().rpartition(")")[2].split()[1]), title)
        except OSError:
            continue
    zygotes = {pid for pid, (parent, title) in parents.items() if (parent, title) == (engine, b"nexus-zygote")}
    keepers = {pid for pid, (parent, title) in parents.items() if parent in zygotes and title == b"nexus-machine"}
    inits = {pid for pid, (parent, _) in parents.items() if parent in keepers}
    return sum(_pss(Path(f"/proc/{pid}")) for pid in keepers | inits)


def _pss(process: Path) -> int:
    for line in (process / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


# -- many at once


async def measure_crowd(options: Options, engine: int, count: int) -> Figures:
    """All at once, as far as two hands of connections allow: create, a command in each, kill."""
    gate = asyncio.Semaphore(32)
    failures: list[BaseException] = []
    made: list[AsyncSandbox] = []
    lowest = available()
    before = lowest

    async def guarded(work: Any) -> None:
        async with gate:
            try:
                await work()
            except Exception as error:
                failures.append(error)

    async def create() -> None:
        made.append(await AsyncSandbox.create(timeout=1800, request_timeout=120, **options))

    async def phase(work: list[Any]) -> float:
        begin = time.perf_counter()
        await asyncio.gather(*(guarded(item) for item in work))
        return time.perf_counter() - begin

    created = await phase([create] * count)
    commands = await phase(
        [lambda sandbox=sandbox: sandbox.commands.run("echo $$", request_timeout=120) for sandbox in made]
    )
    lowest = min(lowest, available())
    one = made[0]
    trips = []
    for _ in range(50):
        begin = time.perf_counter()
        await one.commands.run("true")
        trips.append((time.perf_counter() - begin) * 1000)
    pss = machine_pss(engine)
    killed = await phase([lambda sandbox=sandbox: sandbox.kill(request_timeout=120) for sandbox in made])
    for error in failures[:3]:
        print(f"failure: {type(error).__name__}: {error}", file=sys.stderr)
    return {
        f"create {count}": f"{created:.1f} s ({count / created:.0f}/s)",
        f"a command in each of {count}": f"{commands:.1f} s",
        f"command round trip with {count} alive": spread(trips),
        f"PSS of {count}": f"{pss / MIB:.0f} MiB",
        f"memory available less with {count}": f"{(before - lowest) / MIB:.0f} MiB",
        f"kill {count}": f"{killed:.1f} s",
        "failures": str(len(failures)),
    }


# -- the run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandboxes", type=int, default=200, help="how many at once")
    parser.add_argument("--only", default="latency,layers,throughput,memory,crowd")
    parser.add_argument("--home", type=Path, help="an engine to use; one of the script's own by default")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON document")
    arguments = parser.parse_args()
    home = arguments.home or Path(tempfile.mkdtemp(prefix="nexus-bench-"))
    try:
        endpoint = daemon.ensure_running(home)
        options = dict(endpoint.sdk_options())
        parts: dict[str, Callable[[], Figures]] = {
            "latency": lambda: measure_latency(options),
            "layers": lambda: measure_layers(options),
            "throughput": lambda: measure_throughput(options),
            "memory": lambda: measure_memory(options, endpoint.pid),
            "crowd": lambda: asyncio.run(measure_crowd(options, endpoint.pid, arguments.sandboxes)),
        }
        figures = {"loop before": f"{loop_ms():.1f} ms", "tier": str((daemon.status(home) or {}).get("tier"))}
        for name in arguments.only.split(","):
            figures.update(parts[name]())
        figures["load"] = " ".join(f"{value:.1f}" for value in os.getloadavg())
        figures["loop after"] = f"{loop_ms():.1f} ms"
        tell(figures, as_json=arguments.json)
    finally:
        if arguments.home is None:
            daemon.reset(home)
            shutil.rmtree(home, ignore_errors=True)


def tell(figures: Figures, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:<40} {value}")
    for name, goal in GOALS.items():
        print(f"goal: {name} below {goal}")


if __name__ == "__main__":
    main()
