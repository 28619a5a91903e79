"""An apply, beside what goes on at the same time."""

from __future__ import annotations

from pathlib import Path

from nexus.executor import SystemClock
from nexus.model.events import ApplyFinished, Event
from nexus.stores import Durations, LockInfo, Memory
from nexus.workflows import applying
from nexus.workflows.applying import ApplyRequest
from nexus.workflows.loading import LoadRequest, load
from nexus.workflows.session import Session
from tests.campaigns.account import Account, AccountProvider
from tests.fakes.sinks import sequential_ids

MANIFEST = "apiVersion: nexus/v1\nproject: shop\nsandboxes:\n  web: {template: base}\n"
THEIRS = "create sandbox.api"


async def test_what_the_apply_of_another_environment_has_learnt_meanwhile_is_kept(tmp_path: Path) -> None:
    (tmp_path / "nexus.yaml").write_text(MANIFEST)
    clock, memory = SystemClock(), Memory()

    def meanwhile(event: Event) -> None:
        if isinstance(event, ApplyFinished):
            memory.durations = Durations({THEIRS: 7.0})

    await applying.apply(
        load(LoadRequest(path=tmp_path, process={})),
        Session(
            provider=AccountProvider(Account(), clock),
            backend=memory.backend(),
            clock=clock,
            ids=sequential_ids(),
            holder=lambda operation: LockInfo(holder="me", pid=1, operation=operation, since=""),
            keep_secret=lambda values: None,
        ),
        ApplyRequest(),
        approve=lambda plan: True,
        sink=meanwhile,
        bind_interrupt=lambda interrupt: None,
    )
    assert memory.durations.seconds[THEIRS] == 7.0
    assert "create sandbox.web" in memory.durations.seconds
