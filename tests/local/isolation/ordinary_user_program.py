"""Tries a whole machine as whoever runs it, and prints what it saw as JSON. Argument: a folder to work in."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from nexus.local.isolation.base import Machine
from nexus.local.isolation.probe import diagnose, select_isolation
from tests.local.isolation.workshop import Places, Workshop, run

_COMMANDS = {
    "user": "id -u; whoami; pwd",
    "sudo": "sudo id -u; sudo sh -c 'echo x >/etc/new; chown nobody /etc/new'; cat /etc/new",
    "usr": "sudo sh -c 'echo \"echo hi\" >/usr/local/bin/hi; chmod +x /usr/local/bin/hi'; hi",
    "delete": "sudo rm /usr/bin/yes; test ! -e /usr/bin/yes && echo gone",
    "python": "python -c 'import ssl; print(1)'; python3 -m venv --without-pip ~/v && ~/v/bin/python -c 'print(2)'",
    "tar": "tar cf /tmp/a.tar -C /etc passwd && sudo tar xpf /tmp/a.tar -C /root && sudo ls /root",
}


async def main(folder: Path) -> dict[str, object]:
    findings = await diagnose(folder)
    places = Places(store=folder / "store", runtime=folder / "rt")
    isolation = await select_isolation(places.store, places.runtime)
    workshop = Workshop(isolation=isolation, places=places, started=[])
    first: Machine = await workshop.start()
    second = await workshop.start()
    try:
        seen = {name: await run(first, text) for name, text in _COMMANDS.items()}
        await first.pause()
        await first.resume()
        memory = (await first.usage()).mem_used
        await first.kill()
        await isolation.commit(first.id, "layer")
        third = await workshop.start(layers=["layer"])
        layered = await run(third, "hi; cat /etc/new; ls /usr/bin/yes 2>/dev/null")
        init_is_gone = not Path(f"/proc/{first.pid}").exists()
    finally:
        for machine in workshop.started:
            await machine.kill()
            await isolation.discard(machine.id)
        await isolation.close()
    return {
        "uid": os.getuid(),
        "tier": isolation.tier,
        "findings": {finding.name: [finding.ok, finding.remedy] for finding in findings},
        "seen": seen,
        "memory": memory,
        "layered": layered,
        "init_is_gone": init_is_gone,
        "left": [path.name for path in isolation.store.uppers.iterdir()],
        "other": second.id,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
