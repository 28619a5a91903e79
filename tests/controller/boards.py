"""Boards of several sizes, with whatever may stand on one; the names and messages are meant to be long."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from nexus.controller.settings import EnvironmentSettings, Key, Policy
from nexus.controller.status import Board, Phase
from nexus.model.addresses import Address
from nexus.model.changes import Action, Change
from nexus.model.diagnostics import error
from nexus.planning import Drift, DriftCause, DriftReport
from tests.controller.fakes import make_plan
from tests.render.drawn import consequential

AWAY = error(
    "no-answer",
    "The API does not answer",
    detail="https://api.e2b.app: Connection refused, after 5 attempts.",
    hint="it is tried again; see that the network is in order",
)
WRONG = error(
    "unknown-field",
    "There is no field tmplate in a sandbox",
    detail="sandboxes.web-with-a-name-that-nobody-would-give-to-anything-but-somebody-has-it-and-it-is-long.tmplate",
)
UNREAD = error("source-unavailable", "The repository can't be read", detail="https://git.example.com/a/infra.git: 403")
WEB = Address.parse("sandbox.web")


def board(count: int, now: datetime) -> Board:
    """``count`` environments. Of ten, five fail in three ways, one waits, one only tells, and two have drifted."""
    keys = [Key(f"project-{number // 5}", f"environment-{number:03}") for number in range(count)]
    made = Board(EnvironmentSettings(key=key, policy=Policy.AUTO, interval=60) for key in keys)
    ago, soon = now - timedelta(seconds=12), now + timedelta(seconds=48)
    changes = tuple(
        Change(address=WEB, action=Action.DELETE, cause="not written any more", data_loss=True) for _ in "12"
    )
    gone = Drift(address=WEB, id="i1", uid="u1", cause=DriftCause.GONE, detail="killed")
    drift = DriftReport(looked_at=7, drifts=(gone,))
    for number, key in enumerate(keys):
        made.change(
            key,
            phase=Phase.SYNCED,
            revision="0123456789abcdef",
            title="Take a newer base, and tell of it at some length",
            applied="0123456789abcdef",
            observed_at=ago,
            next_at=soon,
        )
        match number % 30:
            case 1:
                made.change(key, phase=Phase.FAILED, failures=3, diagnostics=(WRONG, AWAY))
            case 2:
                plan = replace(consequential(), diagnostics=consequential().diagnostics[:1])
                made.change(key, phase=Phase.WAITING, policy=Policy.APPROVE, digest="41d0b8c2a7f3", plan=plan)
            case 3 | 4 | 5:
                made.change(key, phase=Phase.FAILED, failures=7, diagnostics=(AWAY,))
            case 6:
                made.change(key, drift=drift, drifted_at=ago)
            case 7:
                plan = replace(make_plan(WEB), changes=changes)
                made.change(key, phase=Phase.PENDING, policy=Policy.PLAN_ONLY, plan=plan, drift=drift, drifted_at=ago)
            case 8:
                made.change(key, phase=Phase.STANDBY, leader="controller@other-host (process 4711)", revision="")
            case 9:
                made.change(key, source_problems=(UNREAD,))
            case 10:
                made.change(key, phase=Phase.APPLYING, plan=make_plan(WEB))
    return made
