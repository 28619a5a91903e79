"""The choice of a tier and the doctor's findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.local.isolation import probe, remedies, tiers
from nexus.local.isolation.probe import NoIsolationError, diagnose, select_isolation

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]


async def test_the_wanted_tier_is_taken(tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(probe.TIER_VARIABLE, tier)
    isolation = await select_isolation(tmp_path / "store", tmp_path / "rt")
    await isolation.close()
    assert isolation.tier == tier
    assert not list(isolation.store.uppers.iterdir())


async def test_an_unknown_tier_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are idmap, root, rootless1"):
        await select_isolation(tmp_path / "store", tmp_path / "rt", wanted="vm")


async def test_a_tier_that_does_not_work_is_explained(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(NoIsolationError, match=r"root: .*Not a directory"):
        await select_isolation(blocked / "store", tmp_path / "rt", wanted="root")


async def test_the_doctor_reports_what_works_and_leaves_nothing(tmp_path: Path, verdicts: dict[str, str]) -> None:
    findings = {finding.name: finding for finding in await diagnose(tmp_path)}
    for tier in tiers.ALL:
        if tier.name in findings:
            assert findings[tier.name].ok == (not verdicts[tier.name])
    if not all(verdicts.values()):
        assert {"network", "limits", "pause"} <= set(findings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tier_name", "failure", "word"),
    [
        ("idmap", "[Errno 22] mount_setattr: Invalid argument", "NEXUS_HOME"),
        ("root", "[Errno 22] mount overlay on /x: Invalid argument", "overlay"),
    ],
)
async def test_a_known_cause_has_a_remedy(
    tier_name: str, failure: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("platform.release", lambda: "6.1.0-18-amd64")
    remedy = remedies.for_tier(tiers.by_name(tier_name), failure)
    assert remedy is not None
    assert word in remedy


async def test_whoever_is_not_root_is_told_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert remedies.for_tier(tiers.IDMAP, "[Errno 1] Operation not permitted") == "sudo -E nexus local start"
