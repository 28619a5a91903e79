"""Any sequence of writes, entries, crashes and recoveries against a plain dict."""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nexus.model.addresses import Address
from nexus.model.state import Intent, ResourceRecord, State
from nexus.stores import Begin, Done, Header, commit, load, local_backend
from tests.fakes.records import make_record

T = TypeVar("T")
FRESH = State(lineage="lin")
names = st.sampled_from(["a", "b", "c"])


class LocalStores(RuleBasedStateMachine):
    """The model: records by address, old incarnations, open intents. The store must tell the same after each step."""

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.project = Path(tempfile.mkdtemp())
        self.backend = local_backend(self.project, "default")
        self.records: dict[Address, ResourceRecord] = {}
        self.deposed: dict[str, ResourceRecord] = {}
        self.open_keys: set[str] = set()
        self.running = False
        self.count = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @rule()
    @precondition(lambda self: not self.running)
    def begin(self) -> None:
        state = self.run(load(self.backend, FRESH)).state
        if self.open_keys or state.serial == 0:
            state = self.run(commit(self.backend, state))
        self.run(self.backend.journal.start(Header.of(state)))
        self.running = True

    @rule(name=names)
    @precondition(lambda self: self.running)
    def intend(self, name: str) -> None:
        self.count += 1
        key = f"k{self.count}"
        intent = Intent(key=key, address=Address("sandbox", name), verb="create", uid=f"u{self.count}")
        self.run(self.backend.journal.append(Begin(intent)))
        self.open_keys.add(key)

    @rule(name=names, closes=st.booleans())
    @precondition(lambda self: self.running)
    def record(self, name: str, closes: bool) -> None:
        self.count += 1
        key = min(self.open_keys) if closes and self.open_keys else f"k{self.count}"
        made = make_record(Address("sandbox", name), f"u{self.count}")
        self.run(self.backend.journal.append(Done(key=key, record=made)))
        self.open_keys.discard(key)
        old = self.records.get(made.address)
        if old is not None:
            self.deposed[old.uid] = old
        self.records[made.address] = made

    @rule(name=names)
    @precondition(lambda self: self.running)
    def remove(self, name: str) -> None:
        self.count += 1
        record = self.records.pop(Address("sandbox", name), None)
        if record is not None:
            self.run(self.backend.journal.append(Done(key=f"k{self.count}", removed=record.uid)))

    @rule()
    @precondition(lambda self: self.running)
    def end(self) -> None:
        self.run(commit(self.backend, self.run(load(self.backend, FRESH)).state))
        self.running = False

    @rule(tear=st.integers(0, 40))
    def crash(self, tear: int) -> None:
        """The process is gone, half a line may stand at the end of its journal, and a new one takes over."""
        journal = self.project / ".nexus/default/journal.jsonl"
        if self.running and tear:
            with journal.open("ab") as file:
                file.write(b'{"seq":999,"safe":0,"type":"begin","operation":"1"}'[:tear])
        self.backend = local_backend(self.project, "default")
        self.run(commit(self.backend, self.run(load(self.backend, FRESH)).state))
        self.running = False

    @invariant()
    def tells_the_same(self) -> None:
        if not hasattr(self, "backend"):
            return
        state = self.run(load(local_backend(self.project, "default"), FRESH)).state
        assert state.resources == self.records
        assert {record.uid: record for record in state.deposed} == self.deposed
        assert {intent.key for intent in state.pending} == self.open_keys
        assert state.verify() == ()

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            self.run(self.backend.journal.clear())
            self.loop.close()
            shutil.rmtree(self.project)


def test_any_sequence_tells_the_same_as_the_model() -> None:
    # Python before 3.11.5 may fail to parse a source while garbage is collected, and Hypothesis parses this class.
    gc.disable()
    try:
        run_state_machine_as_test(
            LocalStores, settings=settings(max_examples=25, stateful_step_count=30, deadline=None)
        )
    finally:
        gc.enable()
