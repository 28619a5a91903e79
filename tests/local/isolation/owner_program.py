"""Starts a machine, says so, and waits to be killed. Arguments: tier, store, runtime folder, machine id."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from nexus.local.envd.config import EnvdConfig
from nexus.local.isolation import tiers
from nexus.local.isolation.base import MachineSpec
from nexus.local.isolation.namespaces import NamespaceIsolation


async def main(tier: str, store: str, runtime: str, machine_id: str) -> None:
    isolation = NamespaceIsolation(tiers.by_name(tier), Path(store), Path(runtime))
    await isolation.open()
    envd = EnvdConfig(sandbox_id=machine_id, template_id="base")
    machine = await isolation.start(MachineSpec(id=machine_id, hostname="e2b.local", envd=envd))
    sys.stdout.write(f"{isolation.zygote_pid} {machine.pid}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
