"""Plans that wait for somebody's yes, and the yes: one document for each environment, changed only as it was read.

It lies beside the state where that is on a server, so that whoever can reach the state can give one; else in a file of
this machine. What is approved is one plan, by the digest of its text: another one that takes its place in the document
takes the yes with it. The controller applies exactly that plan, which the apply itself makes again and compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nexus import to_document
from nexus.controller.settings import Key
from nexus.model.changes import Plan
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.planning import SavedPlan, difference, format_saved, parse_saved
from nexus.render.consequences import consequences
from nexus.stores import LockInfo, SharedDocument

WAITING: Final = "waiting"
"""What the document is called, beside the lease."""

SHOWN_DIGEST: Final = 12
"""How much of a digest people see, and have to give at least."""

_FORMAT: Final = 1
_GLANCE: Final = 0.5
_SHARED_GLANCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Approval:
    """Who said yes, as user@host, and when: RFC 3339 in UTC."""

    by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A plan that waits. ``digest`` is that of its whole text, ``version`` that of the document it was read from.

    ``consequences`` are lines for people: what it opens and costs, which a plan that was read knows nothing of.
    """

    key: Key
    plan: Plan
    digest: str
    consequences: tuple[str, ...] = ()
    approval: Approval | None = None
    version: str = ""

    @property
    def short(self) -> str:
        return self.digest[:SHOWN_DIGEST]


class Approvals:
    """Those of one environment. Every method raises DiagnosticsError when the document can't be had."""

    def __init__(self, key: Key, document: SharedDocument, *, is_shared: bool = False) -> None:
        self._key = key
        self._document = document
        self.glance = _SHARED_GLANCE if is_shared else _GLANCE
        """Seconds between two looks for an approval, while a plan waits for one."""

    async def put(self, plan: Plan) -> Waiting:
        """Let a plan wait. One that says the same as what waits already leaves that, and its approval, alone."""
        while True:
            there = await self._document.read()
            before = None if there is None else _decode(self._key, there.content, there.version)
            if before is not None and says_the_same(before.plan, plan):
                return before
            content = _encode(self._key, plan, [line.plain for line in consequences(plan)])
            if await self._document.replace(content, None if there is None else there.version):
                break
        after = await self.get()
        if after is None:
            raise RuntimeError("a plan that was just written can't be read")
        return after

    async def get(self) -> Waiting | None:
        """The plan that waits, and its approval; None where none does, or what is there can't be made sense of."""
        there = await self._document.read()
        return None if there is None else _decode(self._key, there.content, there.version)

    async def approve(self, waiting: Waiting, approver: LockInfo) -> None:
        """Say yes to this plan and no other. Raises DiagnosticsError when it does not wait any more."""
        yes = Approval(approver.holder, approver.since)
        content = _encode(self._key, waiting.plan, waiting.consequences, yes)
        if not await self._document.replace(content, waiting.version):
            raise DiagnosticsError(
                error(
                    "nothing-to-approve",
                    f"The plan {waiting.short} does not wait any more",
                    detail=f"What waits for {self._key} has changed since it was shown.",
                    hint="look at what waits now: run the command again",
                )
            )

    async def clear(self) -> None:
        """Nothing waits any more, and nothing is approved."""
        if await self._document.read() is not None:
            await self._document.remove()


def _encode(key: Key, plan: Plan, said: Sequence[str], approval: Approval | None = None) -> bytes:
    document = {
        "format_version": _FORMAT,
        "project": key.project,
        "plan": json.loads(format_saved(plan)),
        "consequences": list(said),
        "approval": None if approval is None else {"by": approval.by, "at": approval.at},
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _decode(key: Key, content: bytes, version: str) -> Waiting | None:
    """``key`` names the environment; how the controller calls the project is in the document."""
    try:
        document = json.loads(content)
        plan = parse_saved(json.dumps(document["plan"]), str(key)).plan
        approval = _approval(document["approval"])
        return Waiting(
            key=Key(str(document["project"]), key.environment),
            plan=plan,
            digest=str(document["plan"]["digest"]),
            consequences=tuple(map(str, document["consequences"])),
            approval=approval,
            version=version,
        )
    except (DiagnosticsError, ValueError, KeyError, TypeError):
        return None


def _approval(document: Mapping[str, str] | None) -> Approval | None:
    return None if document is None else Approval(document["by"], document["at"])


def says_the_same(one: Plan, other: Plan) -> bool:
    """Whether an approval of one is an approval of the other, as far as people see.

    The state of a project that was never applied gets another name with each plan, and fingerprints change with it;
    then what everybody may see of them is compared. An apply of an approved plan compares all of it in any case.
    """
    if one.lineage == other.lineage:
        return not difference(SavedPlan(one), other)
    return one.base_serial == other.base_serial == 0 and _seen(one) == _seen(other)


def _seen(plan: Plan) -> tuple[object, ...]:
    """What would be done, as documents show it: without fingerprints. A plan out of a file knows nothing of costs."""
    document = to_document(plan)
    return plan.options, *(document[name] for name in ("target", "changes", "operations"))
