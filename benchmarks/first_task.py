"""The first task of a newcomer in nexus, Docker Compose and Terraform: what it takes to say it, and how long it takes.

    python benchmarks/first_task.py [--runs 3] [--only nexus,compose] [--install] [--json]

A web server with a package from PyPI, files of its own, a variable that it shows, and a check that it answers; then a
change of the variable, a change of a file, and an end to all of it. The files are in ``first_task/``: a folder for each
tool, and the application, the same for all. A moment counts only when the page says what it should.

- **words**: of the files and of the commands, parted by white space; without the application's.
- **cold**: the first round. nexus has no engine running and nothing built; Docker's daemon runs and has the image that
  is built on, but has not built on it yet.
- **warm**: medians of the rounds after it.

A tool that is not on this machine is left out: Compose and Terraform need a Docker daemon. Terraform's provider for
Docker comes from a registry, so that ``terraform_data``, which is built in, runs ``docker`` here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent / "first_task"
IMAGE: Final = "python:3.11-slim"
PUBLISHED: Final = "http://127.0.0.1:18080"
COMPOSE: Final = "docker compose"
MOMENTS: Final = ("made", "nothing to do", "variable changed", "file changed", "destroyed")
LIMIT: Final = 300
Times = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What is typed, a line of the shell each; ``begin`` where something comes first."""

    name: str
    begin: str = ""
    apply: str
    change: str
    destroy: str
    url: str = f"echo {PUBLISHED}"

    @property
    def commands(self) -> list[str]:
        """For the whole task, as somebody types them."""
        return [line for line in (self.begin, self.apply, self.change, self.change, self.destroy) if line]

    def words(self) -> dict[str, int]:
        files = [path.read_text() for path in (HERE / self.name).iterdir() if path.is_file()]
        return {
            "words of files": sum(len(text.split()) for text in files),
            "words of commands": sum(len(line.split()) for line in self.commands),
            "commands": len(self.commands),
        }


TOOLS: Final = (
    Tool(
        name="nexus",
        apply="nexus apply --auto-approve",
        change="nexus apply --auto-approve --var greeting=Moin",
        destroy="nexus destroy --auto-approve",
        url="nexus output --raw url",
    ),
    Tool(
        name="compose",
        apply=f"{COMPOSE} up --detach --build --wait",
        change=f"GREETING=Moin {COMPOSE} up --detach --build --wait",
        destroy=f"{COMPOSE} down --rmi local",
    ),
    Tool(
        name="terraform",
        begin="terraform init",
        apply="terraform apply -auto-approve",
        change="terraform apply -auto-approve -var greeting=Moin",
        destroy="terraform destroy -auto-approve",
    ),
)


class Desk:
    """Somebody with a folder for the project and a shell in it, for as long as all rounds take."""

    def __init__(self, tool: Tool, scratch: Path) -> None:
        self._tool = tool
        self._home = scratch / "home"
        others = {name: value for name, value in os.environ.items() if not name.startswith(("E2B_", "NEXUS_"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {**others, "PATH": path, "NEXUS_TARGET": "local", "NEXUS_HOME": str(self._home)}
        # The same in all rounds, and in no run before: what is below it was built before in warm rounds only.
        self._mark = f"LABEL run={uuid.uuid4()}\n"

    def round(self, folder: Path) -> Times:
        """Do the whole task in a new folder."""
        self._lay_out(folder)
        tool, times = self._tool, Times()
        begun = self._run(tool.begin, folder) if tool.begin else 0.0
        times["made"] = begun + self._run(tool.apply, folder)
        self._expect(folder, "Hello", "first")
        times["nothing to do"] = self._run(tool.apply, folder)
        times["variable changed"] = self._run(tool.change, folder)
        self._expect(folder, "Moin", "first")
        page = folder / "app/page.md"
        page.write_text(page.read_text().replace("first", "second"))
        times["file changed"] = self._run(tool.change, folder)
        self._expect(folder, "Moin", "second")
        times["destroyed"] = self._run(tool.destroy, folder)
        return times

    def leave(self, folder: Path) -> None:
        """End what a round that failed left, and the engine."""
        if folder.is_dir():
            self._shell(self._tool.destroy, folder)
        if self._tool.name == "nexus":
            self._shell("nexus local reset --auto-approve", Path("/"))

    def _lay_out(self, folder: Path) -> None:
        shutil.copytree(HERE / self._tool.name, folder)
        shutil.copytree(HERE / "app", folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
        recipe = folder / "Dockerfile"
        if recipe.exists():
            first, rest = recipe.read_text().split("\n", 1)
            recipe.write_text(f"{first}\n{self._mark}{rest}")

    def _run(self, line: str, folder: Path) -> float:
        begin = time.perf_counter()
        done = self._shell(line, folder)
        if done.returncode != 0:
            raise SystemExit(f"{line} failed:\n{done.stdout}{done.stderr}")
        return time.perf_counter() - begin

    def _expect(self, folder: Path, *words: str) -> None:
        url = self._shell(self._tool.url, folder).stdout.strip()
        with urllib.request.urlopen(url, timeout=10) as answer:
            page = answer.read().decode()
        if missing := [word for word in words if word not in page]:
            raise SystemExit(f"{self._tool.name}: the page has no {', '.join(missing)}: {page}")

    def _shell(self, line: str, folder: Path) -> subprocess.CompletedProcess[str]:
        if not answers(f"{COMPOSE} version"):
            line = line.replace(COMPOSE, "docker-compose")
        return subprocess.run(
            ["bash", "-c", line], cwd=folder, env=self._environment, capture_output=True, text=True, timeout=LIMIT
        )


def answers(line: str) -> bool:
    return subprocess.run(["bash", "-c", line], capture_output=True).returncode == 0


def is_there(tool: Tool) -> bool:
    match tool.name:
        case "nexus":
            return True
        case "compose":
            return answers("docker info") and (answers(f"{COMPOSE} version") or answers("docker-compose version"))
        case _:
            return answers("docker info") and answers("terraform version")


def installed() -> float:
    """Seconds until nexus is in an environment of its own, from this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/pip", "install", "--quiet", str(Path(__file__).parents[1])]
        subprocess.run(pip, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([f"{folder}/bin/nexus", "version"], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begin


def measure(tool: Tool, runs: int) -> list[Times]:
    """The cold round, then the warm ones."""
    with tempfile.TemporaryDirectory(prefix="first-task-") as scratch:
        desk, done = Desk(tool, Path(scratch)), list[Times]()
        # Compose knows a project by the name of its folder.
        folder = Path(scratch) / "first-task"
        try:
            for _ in range(runs + 1):
                done.append(desk.round(folder))
                shutil.rmtree(folder)
        finally:
            desk.leave(folder)
        return done


def summary(rounds: list[Times]) -> dict[str, Times]:
    warm = {moment: statistics.median(times[moment] for times in rounds[1:]) for moment in MOMENTS}
    return {"cold": rounds[0], "warm": warm}


def show(results: dict[str, dict[str, Times]]) -> None:
    print(f"{'':<28}" + "".join(f"{name:>20}" for name in results))
    for temperature in ("cold", "warm"):
        for moment in MOMENTS:
            times = [result[temperature][moment] for result in results.values()]
            cells = "".join(f"{taken:>12.2f} s {taken / times[0]:4.1f} ×" for taken in times)
            print(f"{f'{moment}, {temperature}':<28}{cells}")
        totals = [sum(result[temperature].values()) for result in results.values()]
        print(f"{f'all of it, {temperature}':<28}" + "".join(f"{it:>12.2f} s {it / totals[0]:4.1f} ×" for it in totals))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="warm rounds")
    parser.add_argument("--only", default="nexus,compose,terraform")
    parser.add_argument("--install", action="store_true", help="measure an installation of nexus, too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tools = [tool for tool in TOOLS if tool.name in options.only.split(",") and is_there(tool)]
    if any(tool.name != "nexus" for tool in tools) and not answers(f"docker image inspect {IMAGE}"):
        subprocess.run(["docker", "pull", "--quiet", IMAGE], check=True, stdout=subprocess.DEVNULL)
    said = {tool.name: tool.words() for tool in tools}
    results = {tool.name: summary(measure(tool, options.runs)) for tool in tools}
    extra = {"nexus installed": installed()} if options.install else {}
    if options.json:
        print(json.dumps({"words": said, "seconds": results, **extra}, indent=2))
        return
    for name, counts in said.items():
        print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    show(results)
    for what, taken in extra.items():
        print(f"{what} in {taken:.1f} s")


if __name__ == "__main__":
    main()
