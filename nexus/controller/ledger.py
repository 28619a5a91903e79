"""Writes down how one environment stands, and tells of what is news. Decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from nexus.controller.approvals import Approval
from nexus.controller.settings import Key
from nexus.controller.sources import Revision
from nexus.controller.status import Board, Notice, NoticeKind, Phase, Standing, Tell
from nexus.model.changes import Plan
from nexus.model.diagnostics import Diagnostic, Severity
from nexus.planning import DriftReport


class Ledger:
    """The standing of one environment on the board, and ``tell`` for its news."""

    def __init__(self, key: Key, board: Board, tell: Tell) -> None:
        self._key = key
        self._board = board
        self._tell_all = tell
        self._told_revision = ""

    @property
    def standing(self) -> Standing:
        return self._board[self._key]

    # ---- leading

    def leads(self) -> None:
        """From now on."""
        self._change(phase=Phase.STARTING, is_leading=True, leader="")
        self._tell(NoticeKind.LEADING)

    def stands_by(self, leader: str) -> None:
        if self.standing.phase is not Phase.STANDBY:
            self._tell(NoticeKind.STANDBY, message=f"led by {leader or 'another controller'}")
        self._change(phase=Phase.STANDBY, is_leading=False, leader=leader, failures=0, diagnostics=())

    def rests(self, seconds: float) -> None:
        self._change(next_at=_now() + timedelta(seconds=seconds))

    # ---- what is seen

    def files(self, revision: Revision) -> None:
        """Of others than those before, nothing has failed yet."""
        if revision.id != self.standing.revision:
            self._change(revision=revision.id, title=revision.title, failures=0)

    def keeps(self, revision: Revision, problems: tuple[Diagnostic, ...]) -> None:
        """These files. ``problems`` say why they could not be had anew; that is no failure of what is kept."""
        if revision.id != self._told_revision:
            self._told_revision = revision.id
            self._tell(NoticeKind.REVISION, message=revision.title)
        before = self.standing.source_problems
        self._change(source_problems=problems)
        if problems and problems != before:
            self._tell(NoticeKind.FAILED, diagnostics=problems)
        elif before and not problems:
            self._tell(NoticeKind.RECOVERED, message="the files can be had again")

    def planned(self, plan: Plan) -> None:
        self._change(plan=plan, observed_at=_now())

    def drifted(self, report: DriftReport) -> None:
        """What is no drift leaves the last one standing: somebody may want to know what was healed."""
        if not report.has_drift:
            return
        before = self.standing.drift
        self._change(drift=report, drifted_at=_now())
        if before is None or before.drifts != report.drifts:
            counts = Counter(drift.cause.value for drift in report.drifts if not drift.ignored)
            self._tell(NoticeKind.DRIFT, summary=counts)

    # ---- what comes of it

    def in_sync(self) -> None:
        self._goes_well(Phase.SYNCED)

    def differs(self, plan: Plan) -> None:
        """And is left so."""
        is_news = self._is_news(Phase.PENDING, "")
        self._goes_well(Phase.PENDING)
        if is_news:
            self._tell(NoticeKind.PENDING, summary=plan.summary)

    def waits(self, plan: Plan, digest: str) -> None:
        """For an approval of the plan with this digest."""
        is_news = self._is_news(Phase.WAITING, digest)
        self._goes_well(Phase.WAITING, digest=digest)
        if is_news:
            self._tell(NoticeKind.WAITING, summary=plan.summary, digest=digest)

    def approved(self, approval: Approval, digest: str) -> None:
        self._tell(NoticeKind.APPROVED, digest=digest, message=f"by {approval.by} at {approval.at}")

    def refused(self, differences: tuple[str, ...]) -> None:
        """An approved plan was not what would have been done."""
        self._goes_well(Phase.WAITING)
        self._tell(NoticeKind.WAITING, message=f"The approved plan was out of date. {' '.join(differences)}".strip())

    def applies(self) -> None:
        self._change(phase=Phase.APPLYING, digest="")

    def applied(self, plan: Plan, revision: str, seconds: float) -> None:
        self._goes_well(Phase.SYNCED, applied=revision, plan=plan)
        if not plan.is_empty:
            self._tell(NoticeKind.APPLIED, summary=plan.summary, seconds=seconds)

    def failed(self, diagnostics: tuple[Diagnostic, ...], seconds: float | None = None) -> None:
        """``seconds`` is how long an apply took that failed, None where there was none. The same again is no news."""
        errors = tuple(item for item in diagnostics if item.severity is Severity.ERROR) or diagnostics
        before = self.standing
        self._change(phase=Phase.FAILED, failures=before.failures + 1, diagnostics=errors, digest="")
        if before.diagnostics != errors or seconds is not None:
            self._tell(NoticeKind.FAILED, seconds=seconds, diagnostics=errors)

    def _is_news(self, phase: Phase, digest: str) -> bool:
        before = self.standing
        return (before.phase, before.digest) != (phase, digest)

    def _goes_well(self, phase: Phase, **changes: object) -> None:
        was_failing = self.standing.failures > 0
        self._change(phase=phase, failures=0, diagnostics=(), **{"digest": "", **changes})
        if was_failing:
            self._tell(NoticeKind.RECOVERED)

    def _change(self, **changes: object) -> None:
        self._board.change(self._key, **changes)

    def _tell(
        self,
        kind: NoticeKind,
        *,
        summary: Mapping[str, int] | None = None,
        digest: str = "",
        seconds: float | None = None,
        diagnostics: tuple[Diagnostic, ...] = (),
        message: str = "",
    ) -> None:
        self._tell_all(
            Notice(
                kind=kind,
                key=self._key,
                at=_now(),
                revision=self.standing.revision,
                summary=dict(summary or {}),
                digest=digest,
                seconds=seconds,
                diagnostics=diagnostics,
                message=message,
            )
        )


def _now() -> datetime:
    return datetime.now(UTC)
