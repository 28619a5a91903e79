"""The process that a sandbox is there for: the old one stopped, the new one started, and waited for.

Every process of ``start_command`` carries ``NEXUS_START=1`` in its environment. By this even one that left its process
group is found when it has to be stopped.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Final

from nexus.kinds.readiness import START_LOG, ReadySpec
from nexus.kinds.sandbox import SandboxSpec
from nexus.providers.base import Call
from nexus.providers.e2b import errors
from nexus.providers.e2b.inside import JOBS_FOLDER, ROOT, RUN_FOLDER, Inside
from nexus.providers.e2b.jobs import STRICT_BASH, Job, new_token, run_job
from nexus.providers.e2b.output import Output
from nexus.providers.e2b.receipts import Receipt, commit_command
from nexus.providers.e2b.shell import END_MARKED
from nexus.providers.reporting import Report

MARK: Final = "NEXUS_START=1"
PID_FILE: Final = f"{RUN_FOLDER}/start.pid"
_STOP_SECONDS: Final = 10
_SCRIPTS: Final = f"{JOBS_FOLDER}/*/start_command"
"""Where what was started lies, for as long as it runs: bash reads a script as it goes."""


async def start(inside: Inside, call: Call, spec: SandboxSpec, receipt: Receipt) -> None:
    """Stop what an earlier start left running, and start the command of ``spec``; without one, only stop."""
    after = receipt.after(call, boot=inside.boot)
    command = spec.start_command if call.unit is not None else None
    call.report.progress("stopping the old process" if command is None else "starting")
    await _restart(inside, spec.user, command, after)


async def start_again(inside: Inside, user: str, command: str | None) -> bool:
    """Start what was started last, as who it ran as; ``command`` where that is not known here. False without either."""
    receipt = await inside.receipt()
    last = await inside.check(
        f"ls -t {_SCRIPTS} 2>/dev/null | head -n 1 | xargs -r stat -c '%U %n'",
        summary="What was started could not be looked up",
    )
    owner, _, path = last.strip().partition(" ")
    if path:
        content = b"".join([chunk async for chunk in inside.receive(path, user=ROOT)])
        user, command = owner, content.decode()
    if command is None:
        return False
    await _restart(inside, user, command, replace(receipt, boot=inside.boot))
    return True


async def is_running(inside: Inside) -> bool:
    """Whether a process runs that was started here."""
    finished = await inside.run(f"{END_MARKED}\nmarked {MARK}", user=ROOT, cwd="/")
    return bool(finished.stdout.strip())


async def restore(inside: Inside, spec: SandboxSpec, receipt: Receipt) -> None:
    """Start the command again after a reboot, where it was started before."""
    if "start" in receipt.units and spec.start_command is not None:
        await _restart(inside, spec.user, spec.start_command, replace(receipt, boot=inside.boot))


async def _restart(inside: Inside, user: str, command: str | None, receipt: Receipt) -> None:
    await _stop(inside, user)
    pid = "" if command is None else await _launch(inside, user, command)
    await _commit(inside, pid, receipt)


async def _stop(inside: Inside, user: str) -> None:
    await inside.check(
        f"{END_MARKED}\nend_marked {MARK} {_STOP_SECONDS}\n"
        f'for script in {_SCRIPTS}; do rm -rf "${{script%/*}}"; done\n'
        f"rm -f {PID_FILE}; : > {START_LOG} && chown {shlex.quote(user)}: {START_LOG} && chmod 640 {START_LOG}",
        user=ROOT,
        summary="The old process could not be stopped",
    )


async def _launch(inside: Inside, user: str, command: str) -> str:
    """Start ``command`` in a session of its own. A failure in its first moments is an error; returns its pid."""
    folder = f"{JOBS_FOLDER}/{new_token()}"
    await inside.write({f"{folder}/start_command": command.encode()}, user=user)
    finished = await inside.run(
        f"chmod 700 {folder}; export {MARK}\n"
        f"setsid {STRICT_BASH} {folder}/start_command > {START_LOG} 2>&1 < /dev/null &\n"
        "pid=$!; echo $pid\n"
        "for i in 1 2 3 4 5 6; do\n"
        "  sleep 0.05; kill -0 $pid 2>/dev/null && continue\n"
        f"  wait $pid; code=$?; [ $code = 0 ] || tail -n 20 {START_LOG} >&2; exit $code\n"
        "done",
        user=user,
    )
    if finished.exit_code != 0:
        raise errors.execution_failed(
            f"start_command ended at once with exit code {finished.exit_code}",
            exit_code=finished.exit_code,
            output=finished.stderr,
            hint="it has to keep running; what runs to its end belongs into startup_script",
            address=inside.address,
        )
    return finished.stdout.strip()


async def _commit(inside: Inside, pid: str, receipt: Receipt) -> None:
    folder = f"{JOBS_FOLDER}/{new_token()}"
    await inside.write({f"{folder}/receipt": receipt.to_json().encode(), f"{folder}/pid": pid.encode()}, user=ROOT)
    keep_pid = f"mv -f {folder}/pid {PID_FILE} && " if pid else ""
    await inside.check(
        f"trap 'rm -rf {folder}' EXIT; {keep_pid}{commit_command(f'{folder}/receipt')}",
        summary="The start could not be noted down",
    )
    inside.remember(receipt)


async def await_ready(inside: Inside, call: Call, spec: SandboxSpec) -> None:
    """Wait, inside, until the check of ``ready`` succeeds. Raises ProviderError when its time is up."""
    if call.unit is not None and spec.ready is not None:
        await wait_until_ready(inside, spec.user, spec.ready, call.report)


async def wait_until_ready(inside: Inside, user: str, ready: ReadySpec, report: Report) -> None:
    """Raises ProviderError when its time is up."""
    report.progress(f"waiting for {ready.check} {ready.value}")
    output = Output(report)
    job = Job(
        script=f"until (set +e; {ready.command}\n) >/dev/null 2>&1; do sleep 0.2; done",
        user=user,
        timeout=ready.timeout,
        own=True,
    )
    ran = await run_job(inside, job, output)
    if ran.finished.exit_code != 0:
        log = await inside.run(f"tail -n 20 {START_LOG} 2>/dev/null", user=ROOT)
        raise errors.failure(
            "not-ready",
            f"The sandbox was not ready after {ready.timeout} s",
            detail=f"Waited for {ready.check} {ready.value}. Last output of start_command:\n{log.stdout}".strip(),
            hint="see whether start_command works, or allow more time with ready.timeout",
            address=inside.address,
        )
