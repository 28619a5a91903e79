"""An envd as an ordinary process of this host, for tests: no machine around it, its own accounts, a Unix socket."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

from nexus.local.envd.accounts import Accounts
from nexus.local.envd.app import create_envd
from nexus.local.envd.config import EnvdConfig
from nexus.local.envd.reaper import Reaper
from nexus.local.envd.serving import start_server


async def _main(etc: Path, config: EnvdConfig, listening: socket.socket) -> None:
    app = create_envd(config, accounts=Accounts(etc), reaper=Reaper(orphans=False))
    server = await start_server(app, listening)
    await server.serve_forever()


if __name__ == "__main__":
    _, etc, raw = sys.argv
    asyncio.run(_main(Path(etc), EnvdConfig(**json.loads(raw)), socket.socket(fileno=0)))
