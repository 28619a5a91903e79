"""Commands of the manifest: ``run_commands`` one by one, and ``startup_script``."""

from __future__ import annotations

import re

from nexus.kinds.sandbox import SandboxSpec
from nexus.providers.base import Call
from nexus.providers.e2b import errors
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.e2b.jobs import Job, run_job
from nexus.providers.e2b.output import Output
from nexus.providers.e2b.receipts import Receipt, commit_command

_INDEX = re.compile(r"run_commands\[(\d+)\]")


async def run_command(inside: Inside, call: Call, spec: SandboxSpec, receipt: Receipt) -> None:
    """Run the script of the unit as root. The same shell writes the receipt, right after the script succeeded."""
    script = _script(call, spec)
    after = receipt.after(call)
    output = Output(call.report)
    call.report.progress(f"running {call.operation.unit}")
    job = Job(
        script=script,
        user=ROOT,
        files={"receipt": after.to_json().encode()},
        after_success=commit_command('"$F/receipt"'),
        ended_with_us=True,
    )
    ran = await run_job(inside, job, output)
    if ran.finished.exit_code != 0:
        raise errors.execution_failed(
            f"{call.operation.unit} failed with exit code {ran.finished.exit_code}",
            exit_code=ran.finished.exit_code,
            output=output.tail or ran.finished.error,
            address=str(call.address),
        )
    inside.remember(after)


def _script(call: Call, spec: SandboxSpec) -> str:
    name = call.operation.unit
    match = _INDEX.fullmatch(name)
    if match is not None and int(match[1]) < len(spec.run_commands):
        return spec.run_commands[int(match[1])]
    if name == "startup_script" and spec.startup_script is not None:
        return spec.startup_script
    raise errors.failure(
        "unknown-unit",
        "There is no such command",
        detail=f"{call.address} has no {name}. This is a fault in nexus.",
        address=str(call.address),
    )
