"""How long a plan takes beside Terraform's, for as many resources with as many references.

    python benchmarks/plan_speed.py [--sizes 1000,10000] [--runs 3]

Whole processes, in one run, by turns: ``nexus plan`` and ``terraform plan``, first with nothing made (the
create plan), then with everything made (the no-op plan). nexus talks to a control plane that only remembers
(`control_plane.py`) through the official SDK, listing included; Terraform plans built-in ``terraform_data`` resources,
with no network at all. A command that needs longer than ``--limit`` seconds is stopped and counted with that.
Before all that, how long ``nexus --help`` takes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

LARGEST_APPLY = 2000
"""Resources; Terraform's apply of more takes too long to wait for."""
NEXUS = [sys.executable, "-m", "nexus"]


def references(number: int) -> tuple[int, int] | None:
    return (number // 2, number // 3) if number >= 3 else None


def nexus_project(folder: Path, size: int) -> None:
    lines = ["apiVersion: nexus/v1", "project: bench", "sandboxes:"]
    for number in range(size):
        lines += [f"  s{number}:", "    template: bench", "    timeout: 1h"]
        if found := references(number):
            first, second = found
            values = f'{{FIRST: "${{{{ sandbox.s{first}.id }}}}", SECOND: "${{{{ sandbox.s{second}.id }}}}"}}'
            lines.append(f"    metadata: {values}")
    (folder / "nexus.yaml").write_text("\n".join(lines) + "\n")


def terraform_project(folder: Path, size: int) -> None:
    blocks = []
    for number in range(size):
        values = ['template = "bench"', "timeout = 3600"]
        if found := references(number):
            values += [
                f"{name} = terraform_data.s{other}.id" for name, other in zip(("first", "second"), found, strict=True)
            ]
        blocks.append(
            f'resource "terraform_data" "s{number}" {{\n  input = {{\n    ' + "\n    ".join(values) + "\n  }\n}\n"
        )
    (folder / "main.tf").write_text("\n".join(blocks))


def terraform_state(folder: Path, size: int) -> None:
    """What an apply would leave: Terraform needs a quarter of an hour and more to write it for 10,000 resources."""
    ids = [str(uuid.UUID(int=number + 1)) for number in range(size)]
    resources = []
    for number in range(size):
        value: dict[str, object] = {"template": "bench", "timeout": 3600}
        types: dict[str, str] = {"template": "string", "timeout": "number"}
        needs = references(number) or ()
        for name, other in zip(("first", "second"), needs, strict=False):
            value[name], types[name] = ids[other], "string"
        typed = {"value": value, "type": ["object", types]}
        instance = {
            "schema_version": 0,
            "attributes": {"id": ids[number], "input": typed, "output": typed, "triggers_replace": None},
            "sensitive_attributes": [],
            "dependencies": [f"terraform_data.s{other}" for other in needs],
        }
        resources.append(
            {
                "mode": "managed",
                "type": "terraform_data",
                "name": f"s{number}",
                "provider": 'provider["terraform.io/builtin/terraform"]',
                "instances": [instance],
            }
        )
    state = {"version": 4, "terraform_version": "1.11.0", "serial": 1, "lineage": str(uuid.UUID(int=0))}
    (folder / "terraform.tfstate").write_text(json.dumps({**state, "outputs": {}, "resources": resources}))


def seconds(command: list[str], folder: Path, environment: dict[str, str], limit: float) -> float:
    begin = time.perf_counter()
    try:
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=limit)
    except subprocess.TimeoutExpired:
        return limit
    return time.perf_counter() - begin


def medians(
    commands: list[tuple[list[str], Path]], environment: dict[str, str], limit: float, runs: int
) -> list[float]:
    """The commands take turns, so that whatever else the machine does falls on all of them alike."""
    taken: list[list[float]] = [[] for _ in commands]
    for _ in range(runs):
        for times, (command, folder) in zip(taken, commands, strict=True):
            if not times or times[-1] < limit:
                times.append(seconds(command, folder, environment, limit))
    return [statistics.median(times) for times in taken]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def row(name: str, ours: float, theirs: float, limit: float) -> None:
    least = ">" if theirs >= limit else " "
    print(f"{name:<32} nexus {ours:8.2f} s   terraform {least}{theirs:8.2f} s   ratio {least}{theirs / ours:6.1f}")


def measure_help(runs: int) -> None:
    (taken,) = medians([([*NEXUS, "--help"], Path.cwd())], dict(os.environ), 60.0, max(runs, 5))
    print(f"{'nexus --help':<32} nexus {taken:8.2f} s")


def compare(size: int, runs: int, limit: float, terraform: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = Path(scratch) / "nexus", Path(scratch) / "terraform"
        ours.mkdir()
        theirs.mkdir()
        nexus_project(ours, size)
        terraform_project(theirs, size)
        port = free_port()
        server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("control_plane.py")), str(port)])
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "E2B_", "NEXUS_"))},
            "E2B_API_KEY": "e2b_" + "0" * 40,
            "E2B_API_URL": f"http://127.0.0.1:{port}",
            "NEXUS_TARGET": "e2b",
            "NEXUS_HOME": f"{scratch}/home",
            "PYTHONPYCACHEPREFIX": f"{scratch}/bytecode",  # kept from run to run, as an installed program has it
            "CHECKPOINT_DISABLE": "1",
        }
        ours_plan, theirs_plan = ([*NEXUS, "plan"], ours), ([terraform, "plan", "-input=false"], theirs)
        try:
            subprocess.run([terraform, "init"], cwd=theirs, env=environment, check=True, stdout=subprocess.DEVNULL)
            subprocess.run([*NEXUS, "plan"], cwd=ours, env=environment, check=True, stdout=subprocess.DEVNULL)
            created = medians([ours_plan, theirs_plan], environment, limit, runs)
            row(f"create plan of {size}", created[0], created[1], limit)
            applied = seconds([*NEXUS, "apply", "-y", "--parallelism", "64"], ours, environment, limit)
            if size > LARGEST_APPLY:
                print(f"{f'apply of {size}':<32} nexus {applied:8.2f} s   terraform's state written by this script")
                terraform_state(theirs, size)
            else:
                built = seconds([terraform, "apply", "-auto-approve", "-input=false"], theirs, environment, limit * 4)
                row(f"apply of {size}", applied, built, limit * 4)
            theirs_plan[0].append("-detailed-exitcode")  # fails unless there is nothing to do
            unchanged = medians([ours_plan, theirs_plan], environment, limit, runs)
            row(f"no-op plan of {size}", unchanged[0], unchanged[1], limit)
        finally:
            server.terminate()
            server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that one plan may take")
    options = parser.parse_args()
    terraform = shutil.which("terraform")
    if terraform is None:
        sys.exit("terraform is not on PATH; this comparison needs it")
    measure_help(options.runs)
    for size in map(int, options.sizes.split(",")):
        compare(size, options.runs, options.limit, terraform)


if __name__ == "__main__":
    main()
