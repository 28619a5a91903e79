"""Templates that are changed and deleted at the same moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nexus.local.builds.model import Template
from nexus.local.builds.records import TemplateRecords
from nexus.local.builds.registry import TemplateRegistry
from tests.local.fakes.threads import HeldThreads

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def records(tmp_path: Path) -> TemplateRecords:
    made = TemplateRecords(tmp_path)
    made.open()
    return made


async def test_a_template_that_is_deleted_while_it_is_written_does_not_come_back(
    records: TemplateRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = TemplateRegistry(records)
    template = Template(id="t1", alias="app", public=False, created_at=NOW, updated_at=NOW)
    await registry.save(template)
    threads = HeldThreads(monkeypatch)
    changing = asyncio.create_task(registry.set_public(template, True, NOW))
    await threads.settle()
    await threads.finish(changing, asyncio.create_task(registry.erase(template, registry.forget(template))))
    assert registry.templates() == []
    assert records.load_templates() == []
