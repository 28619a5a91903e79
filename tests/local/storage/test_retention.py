"""Which layers are needed, and which go when."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from nexus.local.storage.layers import unneeded_layers
from nexus.local.storage.layout import SNAPSHOT_PREFIX, Store
from nexus.local.storage.retention import Janitor, Retention


def test_layers_are_needed_by_sources_and_pins_until_the_last_lets_go() -> None:
    retention = Retention()
    standing = ["a"]
    retention.add_source(lambda: standing)
    retention.add_source(lambda: iter(("b",)))
    with retention.pinned(["c", "d"]):
        with retention.pinned(["c"]):
            assert retention.needed() == {"a", "b", "c", "d"}
        assert retention.needed() == {"a", "b", "c", "d"}
    standing.clear()
    assert retention.needed() == {"b"}


def test_snapshots_go_when_unneeded_and_steps_only_when_pruned(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.create()
    kept_step, step = "t-kept", "t-unneeded"
    kept_snapshot, snapshot = f"{SNAPSHOT_PREFIX}kept", f"{SNAPSHOT_PREFIX}unneeded"
    for layer in (kept_step, step, kept_snapshot, snapshot):
        store.layer(layer).mkdir()
    needed = {kept_step, kept_snapshot}
    assert unneeded_layers(store, needed, snapshots_only=True) == [store.layer(snapshot)]
    assert set(unneeded_layers(store, needed, snapshots_only=False)) == {store.layer(snapshot), store.layer(step)}


class Recorder:
    """A store that writes down what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[frozenset[str], bool]] = []
        self.fail = False
        self.changed = asyncio.Condition()

    async def drop_layers(self, needed: frozenset[str], *, snapshots_only: bool, measure: bool = False) -> int:
        async with self.changed:
            self.asked.append((needed, snapshots_only))
            self.changed.notify_all()
        if self.fail:
            raise OSError("no")
        return 4096 if measure else 0


async def _asked(store: Recorder, times: int) -> None:
    async with asyncio.timeout(60), store.changed:
        await store.changed.wait_for(lambda: len(store.asked) >= times)


async def test_the_janitor_collects_at_its_start_and_when_woken_whatever_fails() -> None:
    store, retention = Recorder(), Retention()
    retention.add_source(lambda: ["needed"])
    janitor = Janitor(store, retention)
    task = asyncio.create_task(janitor.run())
    try:
        await _asked(store, 1)
        store.fail = True
        janitor.wake()
        await _asked(store, 2)
        store.fail = False
        janitor.wake()
        await _asked(store, 3)
        assert await janitor.prune() == 4096
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert store.asked == [(frozenset({"needed"}), True)] * 3 + [(frozenset({"needed"}), False)]
