"""Plans that wait for somebody's yes, and the yes: files of this machine, so that any shell on it can give one.

What is approved is one plan, by the digest of its text. The controller applies exactly that plan, which the apply
itself makes again and compares; anything else waits anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus import read_plan, save_plan, to_document
from nexus.controller.settings import Key
from nexus.model.changes import Plan
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.planning import SavedPlan, difference

SHOWN_DIGEST: Final = 12
"""How much of a digest people see, and have to give at least."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A plan that waits. ``digest`` is that of its whole text."""

    key: Key
    plan: Plan
    digest: str

    @property
    def short(self) -> str:
        return self.digest[:SHOWN_DIGEST]


class Approvals:
    """Those of one machine, under ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: Key, plan: Plan) -> Waiting:
        """Let a plan wait. One that says the same as the one that waits already leaves that, and its digest, alone."""
        before = self.get(key)
        if before is not None and says_the_same(before.plan, plan):
            return before
        path = self._path(key, "plan")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path(key, "approved").unlink(missing_ok=True)
        save_plan(plan, path)
        return self._read(key, path)

    def get(self, key: Key) -> Waiting | None:
        """The plan that waits; None where none does, or what is there can't be read."""
        path = self._path(key, "plan")
        try:
            return self._read(key, path) if path.exists() else None
        except DiagnosticsError:
            return None

    def all(self) -> list[Waiting]:
        """Every plan that waits, by environment."""
        paths = sorted(self._folder.glob("*/*.plan"))
        found = (self.get(Key(path.parent.name, path.stem)) for path in paths)
        return [item for item in found if item is not None]

    def approve(self, waiting: Waiting) -> None:
        """Say yes to this plan and no other."""
        path = self._path(waiting.key, "approved")
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(waiting.digest, encoding="ascii")
        draft.replace(path)

    def is_approved(self, waiting: Waiting) -> bool:
        return self._approved(waiting.key) == waiting.digest

    def is_given(self, key: Key) -> bool:
        """Whether the plan that waits is approved. Cheap while nothing is."""
        digest = self._approved(key)
        waiting = self.get(key) if digest else None
        return waiting is not None and waiting.digest == digest

    def clear(self, key: Key) -> None:
        """Nothing waits any more, and nothing is approved."""
        for suffix in ("approved", "plan"):
            self._path(key, suffix).unlink(missing_ok=True)

    def _approved(self, key: Key) -> str:
        try:
            return self._path(key, "approved").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    def _path(self, key: Key, suffix: str) -> Path:
        return self._folder / key.project / f"{key.environment}.{suffix}"

    def _read(self, key: Key, path: Path) -> Waiting:
        plan = read_plan(path)
        return Waiting(key, plan, str(json.loads(path.read_text(encoding="utf-8"))["digest"]))


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


def find_waiting(approvals: Approvals, project: str | None, environment: str | None, digest: str | None) -> Waiting:
    """The one plan that is meant. Raises DiagnosticsError where that is none, or more than one."""
    waiting = approvals.all()
    meant = [
        item
        for item in waiting
        if project in (None, item.key.project)
        and environment in (None, item.key.environment)
        and (digest is None or (len(digest) >= SHOWN_DIGEST and item.digest.startswith(digest)))
    ]
    if len(meant) == 1:
        return meant[0]
    others = "say which: nexus reconcile approve PROJECT -e ENVIRONMENT"
    nothing = "plans wait only with the policy approve, and where NEXUS_HOME is the controller's"
    listed = ", ".join(f"{item.key} ({item.short})" for item in waiting) or "none"
    raise DiagnosticsError(
        error(
            "nothing-to-approve",
            "No plan like that waits for approval" if not meant else "More than one plan waits for approval",
            detail=f"Plans that wait: {listed}.",
            hint=others if waiting else nothing,
        )
    )
