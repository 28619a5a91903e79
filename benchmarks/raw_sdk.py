"""The same sandboxes as `apply_speed.py` has nexus make, made by a script on the raw SDK: what nexus is held against.

Run as ``python raw_sdk.py SIZE CONCURRENCY``, with ``E2B_API_KEY`` and ``E2B_API_URL`` set.
"""

from __future__ import annotations

import asyncio
import sys

from e2b import AsyncSandbox
from plan_speed import references


async def main(size: int, concurrency: int) -> None:
    slots = asyncio.Semaphore(concurrency)
    made: list[asyncio.Task[str]] = []

    async def make(number: int) -> str:
        first, second = [await made[other] for other in references(number) or ()] or ("", "")
        async with slots:
            metadata = {"nexus.address": f"sandbox.s{number}", "FIRST": first, "SECOND": second}
            sandbox = await AsyncSandbox.create("bench", timeout=120, metadata=metadata)
            await sandbox.set_timeout(3600)
            return sandbox.sandbox_id

    for number in range(size):
        made.append(asyncio.create_task(make(number)))
    await asyncio.gather(*made)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
