"""How long an apply takes beside what it can't be faster than, and beside a script on the raw SDK.

    python benchmarks/apply_speed.py [--size 300] [--runs 3]

All in one run, against a control plane that only remembers (`control_plane.py`), for sandboxes that refer to others:

- **critical path**: its answers are slow, each create by a time of its own. No order of the calls can be faster than
  the longest chain of them, nor than the rate of creates that the manifest allows.
- **raw SDK**: a hand-written asyncio script (`raw_sdk.py`) makes the same calls, with such answers and with answers
  that come at once. The processor time that nexus takes beyond it, for each operation, is what plan, journal and
  state cost.
- **calls**: how many requests an apply and a plan of it make.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from control_plane import ARMING, latency
from plan_speed import NEXUS, free_port, nexus_project, references

HERE = Path(__file__).parent


@contextmanager
def control_plane(scale: float) -> Iterator[str]:
    """Its address."""
    port = free_port()
    server = subprocess.Popen([sys.executable, str(HERE / "control_plane.py"), str(port), str(scale)])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                ask(url)
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait()


def ask(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/counts") as answer:
        counts: dict[str, int] = json.load(answer)
        return counts


def environment(url: str, scratch: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "E2B_", "NEXUS_"))},
        "E2B_API_KEY": "e2b_" + "0" * 40,
        "E2B_API_URL": url,
        "NEXUS_TARGET": "e2b",
        "NEXUS_HOME": f"{scratch}/home",
        "PYTHONPYCACHEPREFIX": f"{scratch}/bytecode",
    }


def timed(command: list[str], folder: Path, env: dict[str, str]) -> tuple[float, float]:
    """Seconds of wall time and of processor time."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def longest_chain(size: int, scale: float) -> float:
    """Seconds of the longest chain of calls: no order of them can be faster."""
    return max(_ready(size, scale))


def paced(size: int, scale: float, rate: float) -> float:
    """Seconds that these creates take when nothing but their rate holds them up, the longest remaining chain first.

    ``rate`` creates may begin at once, and after that so many a second.
    """
    needs = {number: set(references(number) or ()) for number in range(size)}
    users: dict[int, list[int]] = {number: [] for number in range(size)}
    for number, needed in needs.items():
        for other in needed:
            users[other].append(number)
    remaining: dict[int, float] = {}
    for number in reversed(range(size)):
        rest = max((remaining[user] for user in users[number]), default=0.0)
        remaining[number] = rest + _duration(number, scale)
    able = [(-remaining[number], number) for number, needed in needs.items() if not needed]
    heapq.heapify(able)
    under_way: list[tuple[float, int]] = []
    now, tokens, end = 0.0, rate, 0.0
    while able or under_way:
        if able and tokens >= 1 - 1e-9:
            number = heapq.heappop(able)[1]
            tokens -= 1
            heapq.heappush(under_way, (now + _duration(number, scale), number))
            continue
        soonest = [under_way[0][0]] if under_way else []
        soonest += [now + (1 - tokens) / rate] if able else []
        tokens = min(rate, tokens + (min(soonest) - now) * rate)
        now = min(soonest)
        while under_way and under_way[0][0] <= now:
            end, done = heapq.heappop(under_way)
            for user in users[done]:
                needs[user].discard(done)
                if not needs[user]:
                    heapq.heappush(able, (-remaining[user], user))
    return end


def _ready(size: int, scale: float) -> list[float]:
    ready: list[float] = []
    for number in range(size):
        begin = max((ready[other] for other in references(number) or ()), default=0.0)
        ready.append(begin + _duration(number, scale))
    return ready


def _duration(number: int, scale: float) -> float:
    """Of the create, and of the timeout that what refers to the sandbox waits for."""
    return scale * (latency(f"sandbox.s{number}") + ARMING)


def of_operations(folder: Path, env: dict[str, str], *options: str) -> float:
    """Seconds from the first operation's start to the last one's end, as the events tell it."""
    command = [*NEXUS, "apply", "-y", "--json", "--parallelism", "256", *options]
    told = subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout
    events = [json.loads(line) for line in told.splitlines()]
    times = [
        datetime.fromisoformat(item["time"]).timestamp() for item in events if item["type"].startswith("operation")
    ]
    return times[-1] - times[0]


def beside_the_critical_path(size: int, scale: float, rate: float | None) -> None:
    with tempfile.TemporaryDirectory() as scratch, control_plane(scale) as url:
        folder, env = Path(scratch), environment(url, scratch)
        nexus_project(folder, size)
        if rate is None:
            least, name = longest_chain(size, scale), "longest chain of calls"
        else:
            least, name = paced(size, scale, rate), f"{rate:g} creates a second"
            with (folder / "nexus.yaml").open("a") as manifest:
                manifest.write(f"provider: {{creates_per_second: {rate:g}}}\n")
        taken = of_operations(folder, env)
        print(f"apply of {size}, {name:<24} bound {least:7.2f} s   nexus {taken:7.2f} s   ratio {taken / least:5.2f}")


def beside_the_raw_sdk(size: int, concurrency: int, scale: float, runs: int) -> None:
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    calls: dict[str, int] = {}
    again: dict[str, int] = {}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as scratch, control_plane(scale) as url:
            folder, env = Path(scratch), environment(url, scratch)
            nexus_project(folder, size)
            timed([*NEXUS, "plan"], folder, env)
            script = [sys.executable, str(HERE / "raw_sdk.py"), str(size), str(concurrency)]
            timed([*script[:2], "1", "1"], folder, env)  # the modules are compiled now, as nexus' are
            theirs.append(timed(script, folder, env))
            ask(url)
            ours.append(timed([*NEXUS, "apply", "-y", "--parallelism", str(concurrency)], folder, env))
            calls = ask(url)
            subprocess.run([*NEXUS, "plan"], cwd=folder, env=env, check=True, capture_output=True)
            again = ask(url)
    wall, cpu = (statistics.median(item[index] for item in ours) for index in (0, 1))
    raw_wall, raw_cpu = (statistics.median(item[index] for item in theirs) for index in (0, 1))
    extra = (cpu - raw_cpu) / (2 * size) * 1000
    print(
        f"apply of {size}, whole processes: raw SDK {raw_wall:.2f} s, nexus {wall:.2f} s, ratio {wall / raw_wall:.2f}"
    )
    if scale:
        return
    print(
        f"    processor time for each of {2 * size} operations beyond the raw SDK's: {extra:5.2f} ms, the plan included"
    )
    print(f"    calls of the apply: {calls}; of the plan after it: {again}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    beside_the_critical_path(options.size, 1.0, None)
    beside_the_critical_path(options.size, 1.0, 20.0)
    for concurrency, scale in ((20, 1.0), (64, 0.0)):
        beside_the_raw_sdk(options.size, concurrency, scale, options.runs)


if __name__ == "__main__":
    main()
