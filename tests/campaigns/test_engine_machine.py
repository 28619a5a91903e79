"""The same life of a project as in memory, but on a real engine: real processes of nexus, requests, sandboxes, files.

Fewer steps, because each takes a second. Ends are real (``kill -9``), failures those of the engine.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from e2b import Sandbox
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from nexus.local.daemon import Endpoint
from nexus.local.settings import runtime_folder
from tests.campaigns.chaos import chaos
from tests.campaigns.player import ROTATED, SECRET, Player
from tests.lifecycle.test_secrets import forms, where
from tests.local.engine_client import advance

EXAMPLES = int(os.environ.get("NEXUS_CAMPAIGN_ENGINE_EXAMPLES", "2"))
STEPS = int(os.environ.get("NEXUS_CAMPAIGN_ENGINE_STEPS", "6"))

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(max(300, EXAMPLES * STEPS * 20))]

CHANCE = st.integers(0, 2**32 - 1).map(random.Random)


class EngineLife(RuleBasedStateMachine):
    """One project on the engine, next to a sandbox that is nobody's business."""

    def __init__(self, engine: Endpoint) -> None:
        super().__init__()
        self.engine = engine
        self.folder = Path(tempfile.mkdtemp(prefix="nexus-machine-"))
        self.player = Player(self.folder, engine, random.Random(0))
        self.changed = False
        options = engine.sdk_options()
        self.foreign = Sandbox.create("base", timeout=80_000, metadata={"owner": "somebody"}, **options)

    @initialize(chance=CHANCE)
    def begin(self, chance: random.Random) -> None:
        self.player.chance = chance
        self.player.edit(4)

    @rule(chance=CHANCE, times=st.integers(1, 3))
    def edit(self, chance: random.Random, times: int) -> None:
        self.player.chance = chance
        self.player.edit(times)
        self.changed = True

    @rule()
    def rotate(self) -> None:
        self.player.rotate()

    @rule(chance=CHANCE)
    def somebody_interferes(self, chance: random.Random) -> None:
        self.player.chance = chance
        self.player.disturb()

    @rule(seconds=st.sampled_from([30, 150, 1300]))
    def time_passes(self, seconds: int) -> None:
        self.player.story.append(f"{seconds} s pass")
        advance(self.engine, seconds)

    @rule(chance=CHANCE, share=st.sampled_from([0.0, 0.2]), seed=st.integers(0, 1000))
    def apply_that_is_killed(self, chance: random.Random, share: float, seed: int) -> None:
        self.player.chance = chance
        with chaos(self.engine, seed, share or 0.001):
            self.player.killed()
        self.changed = True

    @rule(chance=CHANCE, seed=st.integers(0, 1000))
    def apply_in_trouble(self, chance: random.Random, seed: int) -> None:
        self.player.chance = chance
        with chaos(self.engine, seed):
            self.player.apply()
        self.changed = True

    @rule()
    def save_a_plan(self) -> None:
        self.player.save_plan()

    @rule()
    def apply_the_saved_plan(self) -> None:
        self.player.apply_saved()

    @precondition(lambda self: self.changed)
    @rule(chance=CHANCE)
    def left_alone(self, chance: random.Random) -> None:
        self.player.chance = chance
        self.player.converge()
        self.changed = False

    def teardown(self) -> None:
        """In the end nothing is left, and no secret was told."""
        player = self.player
        try:
            player.converge()
            player.take_down()
            advance(self.engine, 150)
            player.expect_no_leases()
            assert (
                Sandbox.get_info(self.foreign.sandbox_id, **self.engine.sdk_options()).metadata["owner"] == "somebody"
            )
            secrets = forms(SECRET) | forms(ROTATED)
            home = self.engine.home
            assert where(secrets, self.folder, home, runtime_folder(home)) == []
            told = [line for text in player.told() for line in text.splitlines()]
            assert [line for line in told if any(form in line.encode() for form in secrets)] == []
        except AssertionError as failure:
            story = "\n  ".join(player.story)
            raise AssertionError(f"{failure}\n  {story}\n{player.draft.text()}") from None
        finally:
            player.scenario.clean_up()
            self.foreign.kill()
            shutil.rmtree(self.folder, ignore_errors=True)


def test_a_project_left_alone_is_as_its_manifest_says(own_engine: Endpoint) -> None:
    run_state_machine_as_test(
        lambda: EngineLife(own_engine),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # What failed would fail otherwise when it is tried again with less: requests race.
            phases=(Phase.explicit, Phase.generate),
        ),
    )
