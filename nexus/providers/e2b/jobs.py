"""Jobs: scripts that run inside a sandbox, with environment, input, a time limit for the whole process tree, and a
measurement of what they used.

A job lies in a folder of its own in memory (``/run/nexus/jobs/<token>``): the script, its variables, its input. The
command line only names the folder. Every process of a job carries ``NEXUS_JOB=<token>`` in its environment, by which
even those that left their process group are found when the time is up.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from nexus.providers.e2b.executions import note_command
from nexus.providers.e2b.inside import JOBS_FOLDER, ROOT, Finished, Inside
from nexus.providers.e2b.output import Sink
from nexus.providers.e2b.shell import END_MARKED

_GRACE: Final = 15
"""Seconds after the time limit at which the sandbox ends a job by itself, should nobody be left to do it."""


STRICT_BASH: Final = "bash -eo pipefail"
"""How scripts run. The shell that starts them is a login shell already; a second one inside would read the profile over
the job's own variables, and run ``~/.bash_logout`` under ``-e`` at every ``exit``, which then fails.
"""


class Runner(StrEnum):
    """What runs a script. ``strict`` is bash as nexus' own scripts run: the first failing line ends it."""

    STRICT = "strict"
    PYTHON = "python"
    NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """``timeout`` in seconds bounds the whole tree of processes; None waits for ever.

    ``after_success`` is a command that runs in the same shell when the script succeeded. ``measured`` keeps the job's
    folder, for :func:`collect`. ``input`` is handed on while the job runs, instead of ``stdin``. ``ended_with_us`` ends
    the job's processes when the wait for it is cancelled; others go on. A job with a ``name`` of letters and digits can
    be ended by :func:`end_leftovers` should nobody be there any more to see its end. ``own`` says that the script is
    nexus', not the user's.
    """

    script: str
    user: str
    runner: Runner = Runner.STRICT
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    timeout: float | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    after_success: str = ""
    measured: bool = False
    input: AsyncIterator[bytes] | None = None
    ended_with_us: bool = False
    name: str = ""
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a job ended. ``seconds`` is wall time as seen from here."""

    folder: str
    finished: Finished
    seconds: float
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time in seconds and peak memory in bytes, of the processes that the job waited for; None where unknown."""

    cpu_seconds: float | None = None
    peak_memory: int | None = None


_SCRIPT_OF_NODE: Final = "script.cjs"
_SHOWN_IN_LOGS: Final = "# script run by nexus"
"""The first line of a job's command is what people are shown of it."""


def new_token() -> str:
    """A name for a job that nobody can guess."""
    return secrets.token_hex(12)


async def run_job(inside: Inside, job: Job, output: Sink | None = None) -> Ran:
    """Run a job to its end. A failing script is no error here; neither is one whose time is up."""
    await inside.receipt()
    token = new_token()
    folder = f"{JOBS_FOLDER}/{token}"
    await inside.write(_files(job, folder), user=job.user)
    started = time.monotonic()
    try:
        async with asyncio.timeout(job.timeout):
            finished = await inside.run(
                _command(job, folder, token),
                user=job.user,
                cwd=job.cwd,
                output=output,
                stdin=job.input,
                own=job.own,
            )
    except TimeoutError:
        await end_marked(inside, f"NEXUS_JOB={token}", folder="" if job.measured else folder)
        return Ran(folder=folder, finished=Finished(124), seconds=time.monotonic() - started, timed_out=True)
    except asyncio.CancelledError:
        if job.ended_with_us:
            await end_marked(inside, f"NEXUS_JOB={token}", folder=folder)
        raise
    seconds = time.monotonic() - started
    timed_out = job.timeout is not None and finished.exit_code in (124, 137) and seconds >= job.timeout
    return Ran(folder=folder, finished=finished, seconds=seconds, timed_out=timed_out)


async def end_leftovers(inside: Inside, name: str) -> None:
    """End jobs of this name whose end nobody saw: the folder of one that was seen to its end is gone."""
    await inside.run(
        f"{END_MARKED}\nfor file in {JOBS_FOLDER}/*/name; do\n"
        f'[ -f "$file" ] && [ "$(cat "$file")" = {shlex.quote(name)} ] || continue\n'
        'folder=${file%/name}; end_marked "NEXUS_JOB=${folder##*/}" 0; rm -rf "$folder"\ndone',
        user=ROOT,
        cwd="/",
    )


async def end_marked(inside: Inside, mark: str, *, folder: str = "") -> None:
    """Kill every process whose environment holds ``mark``, wherever it went. Removes ``folder`` besides."""
    cleanup = f"\nrm -rf {folder}" if folder else ""
    await inside.run(f"{END_MARKED}\nend_marked {shlex.quote(mark)} 0{cleanup}", user=ROOT, cwd="/")


_MEASURE: Final = b"""\
import os, sys
pid = os.fork()
if pid == 0:
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as problem:
        print(problem, file=sys.stderr)
        os._exit(127)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as file:
    print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, file=file)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
"""


_AS_IF_HERE: Final = b"""\
const Module = require("module"), fs = require("fs"), path = require("path");
const file = process.argv[1] = process.argv.splice(2, 1)[0];
const script = process.mainModule = new Module(".", null);
script.filename = path.join(process.cwd(), path.basename(file));
script.paths = [...Module._nodeModulePaths(process.cwd()), ...Module._nodeModulePaths(path.dirname(file))];
script._compile(fs.readFileSync(file, "utf8"), script.filename);
script.loaded = true;
"""
"""Runs a script as if it lay in the working directory, as «node -e» does: what it requires by ./name is found there."""


def _files(job: Job, folder: str) -> dict[str, bytes]:
    files = {f"{folder}/{name}": content for name, content in job.files.items()}
    files[f"{folder}/env"] = export_lines(job.env).encode()
    files[f"{folder}/stdin"] = job.stdin or b""
    files[f"{folder}/{script_name(job)}"] = job.script.encode()
    if script_name(job) == _SCRIPT_OF_NODE:
        files[f"{folder}/here.cjs"] = _AS_IF_HERE
    if job.measured:
        files[f"{folder}/measure.py"] = _MEASURE
    if job.name:
        files[f"{folder}/name"] = job.name.encode()
    return files


def script_name(job: Job) -> str:
    """Node tells the two kinds of modules apart by the file's name."""
    match job.runner:
        case Runner.NODE:
            return "script.mjs" if _is_module(job.script) else _SCRIPT_OF_NODE
        case Runner.PYTHON:
            return "script.py"
        case Runner.STRICT:
            return "script"


def _is_module(script: str) -> bool:
    """Whether JavaScript has what only modules may have, at the left edge, and nothing that they may not."""
    if re.search(r"\brequire\s*\(", script):
        return False
    return (
        re.search(r"^(import[\s{*\"']|export\s|await\s|for await\b|const .*=\s*await\s)", script, re.MULTILINE)
        is not None
    )


def export_lines(variables: Mapping[str, str]) -> str:
    """Lines for a shell to read that set these variables."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _command(job: Job, folder: str, token: str) -> str:
    """The command line of a job: it names files, and holds nothing of the user's."""
    source = "" if job.input is not None else ' < "$F/stdin"'
    lines = [_SHOWN_IN_LOGS, f"export NEXUS_JOB={token}", f"F={folder}", f". {folder}/env"]
    if not job.measured:
        lines.append("trap 'rm -rf \"$F\"' EXIT")
    lines += _program(job)
    if job.timeout is not None:
        lines.append(f'set -- timeout -k 5 {int(job.timeout) + _GRACE} "$@"')
    if job.measured:
        # Without Python there, bash can still tell the CPU time of what it waited for.
        lines.append(
            f'if command -v python3 >/dev/null; then python3 -I -S "$F/measure.py" "$F/usage" "$@"{source}; '
            f'code=$?; else "$@"{source}; code=$?; times > "$F/times"; fi'
        )
    else:
        lines.append(f'"$@"{source}; code=$?')
    if job.after_success:
        lines.append(f"[ $code -ne 0 ] || {{ {job.after_success}; }} || code=$?")
    lines.append("exit $code")
    return "\n".join(lines)


def _program(job: Job) -> list[str]:
    name = script_name(job)
    script = f'"$F/{name}"'
    match job.runner:
        case Runner.STRICT:
            return [f"set -- {STRICT_BASH} {script}"]
        case Runner.PYTHON:
            return [
                "P=$(command -v python3 || command -v python) "
                "|| { echo 'there is no Python in this sandbox' >&2; exit 127; }",
                'export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"',
                f'set -- "$P" -u {script}',
            ]
        case Runner.NODE:
            # Modules are looked for next to the script, so what the working directory has is shown there too.
            return [
                "N=$(command -v node) || { echo 'there is no Node.js in this sandbox' >&2; exit 127; }",
                'G=$(readlink -f "$N"); G=${G%/bin/*}/lib/node_modules',
                'if [ -d "$PWD/node_modules" ]; then ln -s "$PWD/node_modules" "$F/node_modules"; '
                'else ln -s "$G" "$F/node_modules"; fi',
                'export NODE_PATH="$G:/usr/local/lib/node_modules:/usr/share/nodejs${NODE_PATH:+:$NODE_PATH}"',
                f'set -- "$N" "$F/here.cjs" {script}' if name == _SCRIPT_OF_NODE else f'set -- "$N" {script}',
            ]


async def collect(inside: Inside, ran: Ran, *, also: str = "") -> tuple[Usage, str]:
    """What a measured job used, and what the command ``also`` wrote. Counts the job, and removes its folder."""
    folder = ran.folder
    command = (
        f"cat {folder}/usage 2>/dev/null || awk 'NR==2' {folder}/times 2>/dev/null || echo\nrm -rf {folder}\n"
        f"{note_command(inside.id, ran.finished.exit_code, ran.seconds)}\n{also}"
    )
    finished = await inside.run(command, user=ROOT, cwd="/")
    first, _, rest = finished.stdout.partition("\n")
    return _usage(first), rest


def _usage(text: str) -> Usage:
    match text.split():
        case [cpu, memory] if "m" in cpu:
            return Usage(cpu_seconds=_clock(cpu) + _clock(memory))
        case [cpu, memory]:
            return Usage(cpu_seconds=float(cpu), peak_memory=int(memory))
    return Usage()


def _clock(text: str) -> float:
    """Bash's ``1m2.345s`` in seconds."""
    minutes, _, seconds = text.partition("m")
    return int(minutes) * 60 + float(seconds.rstrip("s").replace(",", "."))
