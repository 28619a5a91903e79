"""What fails, when and how: the rules, and the script that counts requests and decides which of them are struck.

The control plane (:mod:`nexus.local.control_plane.faults`) and the edge (:mod:`nexus.local.edge.faults`) ask the script
about every request and carry out what it says.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

EVERYTHING = re.compile("")


class Surface(StrEnum):
    """Where a request comes in: E2B's REST API, or the edge in front of sandboxes (envd and their other ports)."""

    API = "api"
    SANDBOX = "sandbox"


class Action(StrEnum):
    """What happens to a request that is struck.

    - ``status``: it is answered with a status instead of being done.
    - ``delay``: it is done and answered, later.
    - ``drop``: it is done, and the connection closes without an answer.
    - ``reset``: it is not done, and the connection is reset.
    - ``vanish``: the sandbox it concerns is killed, as if its machine had died.
    - ``expire``: the sandbox it concerns has reached its end of life, and is killed or paused as its lifecycle says.
    """

    STATUS = "status"
    DELAY = "delay"
    DROP = "drop"
    RESET = "reset"
    VANISH = "vanish"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One kind of failure. ``method`` ``*`` is every method; ``path`` is searched for in the request's path.

    Of the requests that match, those are struck that ``nth`` numbers (from 1), or every ``every``-th, or each with
    ``probability``, or all when none of these is given; ``times`` at most. ``milliseconds`` pass before the action:
    before it is done (``delay``), answered (``status``, ``reset``), lost (``drop``), or, while the request is carried
    out, before the sandbox ends (``vanish``, ``expire``).
    """

    action: Action
    on: Surface = Surface.API
    method: str = "*"
    path: re.Pattern[str] = EVERYTHING
    port: int | None = None
    nth: frozenset[int] | None = None
    every: int | None = None
    probability: float | None = None
    times: int | None = None
    status: int = 500
    message: str = "scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)
    milliseconds: int = 0

    @property
    def seconds(self) -> float:
        return self.milliseconds / 1000

    @property
    def body(self) -> dict[str, object]:
        """The answer of ``status``, in the shape of every error of E2B."""
        return {"code": self.status, "message": self.message}


@dataclass(frozen=True, slots=True)
class FaultDocument:
    """All rules and the seed of their chances; None lets the engine choose one."""

    rules: Sequence[FaultRule] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class RuleCount:
    """A rule with how many requests matched it and how many of them were struck."""

    rule: FaultRule
    matched: int
    struck: int


class FaultScript:
    """The rules of the moment. Same rules, same seed and same order of requests: same failures."""

    def __init__(self) -> None:
        self.replace(FaultDocument())

    def replace(self, document: FaultDocument) -> None:
        """Start anew with other rules; none ends the failures."""
        self.seed = document.seed if document.seed is not None else random.SystemRandom().randrange(2**32)
        # A generator for each rule: what one rule draws does not change what another one does.
        self._entries = [
            _Entry(rule, random.Random(f"{self.seed}:{index}"))  # noqa: S311 - to be repeatable, not secret
            for index, rule in enumerate(document.rules)
        ]

    def strike(self, on: Surface, method: str, path: str, port: int | None = None) -> FaultRule | None:
        """The rule that strikes this request. Every rule counts the request, also when an earlier one strikes."""
        if not self._entries:
            return None
        struck = [entry for entry in self._entries if entry.counts(on, method, path, port)]
        if not struck:
            return None
        struck[0].struck += 1
        return struck[0].rule

    def counts(self) -> list[RuleCount]:
        return [RuleCount(entry.rule, entry.matched, entry.struck) for entry in self._entries]


class _Entry:
    """One rule with its counters and its source of chance."""

    def __init__(self, rule: FaultRule, chance: random.Random) -> None:
        self.rule = rule
        self.matched = 0
        self.struck = 0
        self._chance = chance

    def counts(self, on: Surface, method: str, path: str, port: int | None) -> bool:
        """Count a request if it matches, and say whether it is to be struck."""
        rule = self.rule
        if rule.on is not on or rule.method not in ("*", method) or (rule.port is not None and rule.port != port):
            return False
        if rule.path.search(path) is None:
            return False
        self.matched += 1
        # Drawn in any case, so that ``times`` does not shift the later draws.
        drawn = rule.probability is None or self._chance.random() < rule.probability
        return drawn and self._is_turn() and (rule.times is None or self.struck < rule.times)

    def _is_turn(self) -> bool:
        if self.rule.nth is not None:
            return self.matched in self.rule.nth
        return self.rule.every is None or self.matched % self.rule.every == 0
