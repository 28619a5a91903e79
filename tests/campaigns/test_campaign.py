"""The campaign: random projects, a fifth of all requests failing, ``kill -9`` at random points, and then one apply.

Small by default; ``make campaign`` raises the sizes. Each round plays a few projects at once, because failures are the
whole engine's; what must be true is looked at when the engine is well again.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from e2b import Sandbox

from nexus.local.daemon import Endpoint
from nexus.local.settings import runtime_folder
from tests.campaigns.chaos import chaos
from tests.campaigns.player import ROTATED, SECRET, Player
from tests.lifecycle.test_secrets import forms, where
from tests.local.engine_client import advance

KILLS = int(os.environ.get("NEXUS_CAMPAIGN_KILLS", "8"))
"""Goes on until so many runs were killed."""
SEED = int(os.environ.get("NEXUS_CAMPAIGN_SEED", "1"))
"""0 draws one."""
AT_ONCE = int(os.environ.get("NEXUS_CAMPAIGN_PROJECTS", "4"))
AFTER_ALL_LEASES = 150

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(max(300, KILLS * 30))]


class Campaign:
    """Plays rounds, and counts."""

    def __init__(self, engine: Endpoint, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.foreign = Sandbox.create("base", timeout=80_000, metadata={"owner": "somebody"}, **engine.sdk_options())

    def round(self, seed: int) -> None:
        chance = random.Random(seed)
        players = [self._player(chance) for _ in range(AT_ONCE)]
        with ThreadPoolExecutor(AT_ONCE) as pool:

            def each(play: Callable[[Player], None]) -> None:
                done = pool.map(lambda player: self._watched(player, play, seed), players)
                players[:] = [player for player, sound in zip(list(players), list(done), strict=True) if sound]

            with chaos(self.engine, seed):
                each(_begin)
            each(_between)
            with chaos(self.engine, seed + 1):
                each(_change)
            each(_mend)
            advance(self.engine, AFTER_ALL_LEASES)
            each(Player.expect_no_leases)
            with chaos(self.engine, seed + 2):
                each(lambda player: _note(player.killed("destroy")))
            each(Player.take_down)
            each(self._keeps_its_secrets)
        self.counts["projects"] += AT_ONCE

    def _player(self, chance: random.Random) -> Player:
        folder = Path(tempfile.mkdtemp(prefix="project-", dir=self.folder))
        return Player(folder, self.engine, random.Random(chance.randrange(2**32)))

    def _watched(self, player: Player, play: Callable[[Player], None], seed: int) -> bool:
        before = player.kills
        try:
            play(player)
        except AssertionError as failure:
            self.counts["failed"] += 1
            story = "\n  ".join(player.story)
            self.failures.append(f"seed {seed}, {player.scenario.folder}:\n  {story}\n{failure}\n{player.draft.text()}")
            sys.stderr.write(f"{self.failures[-1]}\n")
            player.scenario.clean_up()
            return False
        finally:
            self.counts["kills"] += player.kills - before
        return True

    def _keeps_its_secrets(self, player: Player) -> None:
        secrets = forms(SECRET) | forms(ROTATED)
        assert where(secrets, player.scenario.folder) == []
        told = [line for text in player.told() for line in text.splitlines()]
        assert [line for line in told if any(form in line.encode() for form in secrets)] == []


def _note(outcome: object) -> None:
    """How it ended is of no matter."""


def _begin(player: Player) -> None:
    player.edit(player.chance.randint(4, 8))
    player.killed()


def _between(player: Player) -> None:
    """Half of them go on from something sound, the others from where they were cut off."""
    if player.chance.random() < 0.5:
        player.converge()
    if player.chance.random() < 0.3:
        player.save_plan()
    player.edit(player.chance.randint(1, 6))
    for _ in range(player.chance.randint(0, 2)):
        player.disturb()
    if player.chance.random() < 0.2:
        player.rotate()


def _change(player: Player) -> None:
    player.apply_saved()
    player.killed()
    if player.chance.random() < 0.3:
        player.apply()
    player.edit(player.chance.randint(0, 2))
    player.killed()


def _mend(player: Player) -> None:
    player.converge()


def test_whatever_fails_and_wherever_it_ends_nothing_is_leaked_doubled_or_lost(
    own_engine: Endpoint, tmp_path: Path
) -> None:
    campaign = Campaign(own_engine, tmp_path)
    seed = SEED or random.randrange(2**32)
    while campaign.counts["kills"] < KILLS and len(campaign.failures) < 10:
        campaign.round(seed)
        seed += 3
        sys.stderr.write(f"{dict(campaign.counts)}\n")
    assert Sandbox.get_info(campaign.foreign.sandbox_id, **own_engine.sdk_options()).metadata == {"owner": "somebody"}
    home = own_engine.home
    assert where(forms(SECRET) | forms(ROTATED), home, runtime_folder(home)) == []
    assert not campaign.failures, f"{len(campaign.failures)} failures\n" + "\n\n".join(campaign.failures)
