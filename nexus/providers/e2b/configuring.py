"""Changes to a live sandbox that no plan asked for: see :class:`nexus.providers.configuring.Configuration`.

The work is done by what sets sandboxes up. It is not noted as done, so that a deep look finds the difference from what
was applied, and the next apply can take it back.
"""

from __future__ import annotations

from e2b.sandbox.sandbox_api import SandboxNetworkUpdate

from nexus.kinds.network import NetworkSpec
from nexus.kinds.packages import MANAGERS
from nexus.providers.configuring import Configuration, Reached
from nexus.providers.e2b import errors
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.e2b.jobs import Job, run_job
from nexus.providers.e2b.output import Output
from nexus.providers.e2b.sandbox import environment, packages, processes
from nexus.providers.e2b.world import World
from nexus.providers.reporting import Report


async def configure(world: World, inside: Inside, wanted: Configuration, report: Report) -> Reached:
    """Make the changes one after the other. What was made before one that fails stays."""
    if wanted.network is not None and not wanted.closing:
        await _set_network(world, inside, wanted.network, report)
    if wanted.env_vars or wanted.unset:
        report.progress("setting the environment")
        await environment.change(inside, wanted.env_vars, wanted.unset, wanted.user)
    for manager in MANAGERS:
        delta = packages.Delta(added=wanted.install.of(manager), removed=wanted.uninstall.of(manager))
        if delta.added or delta.removed:
            await packages.change(inside, manager, delta, report)
    for number, command in enumerate(wanted.run_commands, start=1):
        await _run(inside, command, number, report)
    if wanted.network is not None and wanted.closing:
        await _set_network(world, inside, wanted.network, report)
    return Reached(
        restarted=wanted.restart and await _restart(inside, wanted, report),
        has_process=await processes.is_running(inside),
        env_names=frozenset((await inside.run("compgen -e", user=wanted.user)).stdout.split()),
    )


async def _set_network(world: World, inside: Inside, network: NetworkSpec, report: Report) -> None:
    report.progress("setting the network")
    rules = SandboxNetworkUpdate(allow_out=list(network.allow), deny_out=list(network.deny))
    await world.connection.client.AsyncSandbox.update_network(inside.id, rules)


async def _run(inside: Inside, command: str, number: int, report: Report) -> None:
    output = Output(report)
    report.progress(f"running command {number}")
    ran = await run_job(inside, Job(script=command, user=ROOT, ended_with_us=True), output)
    if ran.finished.exit_code != 0:
        raise errors.execution_failed(
            f"Command {number} failed with exit code {ran.finished.exit_code}",
            exit_code=ran.finished.exit_code,
            output=output.tail or ran.finished.error,
            hint="what was changed before it stays as it is now",
            address=inside.address,
        )


async def _restart(inside: Inside, wanted: Configuration, report: Report) -> bool:
    report.progress("starting again")
    if not await processes.start_again(inside, wanted.user, wanted.start_command):
        return False
    if wanted.ready is not None:
        await processes.wait_until_ready(inside, wanted.user, wanted.ready, report)
    return True
