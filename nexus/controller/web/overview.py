"""The page of all environments: what needs somebody first, with the reason; what is as it is written last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

from nexus.controller.status import Phase, Standing
from nexus.controller.web.elements import badge, counted, distance, document, link, path, revision
from nexus.model.diagnostics import Diagnostic
from nexus.render.values import plural

_ORDER: Final = (
    Phase.FAILED, Phase.WAITING, Phase.PENDING, Phase.APPLYING, Phase.STARTING, Phase.SYNCED, Phase.STANDBY,
)  # fmt: skip
_NO_SOURCE: Final = "no source"
"""Kept as its files were, because they can't be had anew."""

_CASES: Final = (Phase.FAILED, _NO_SOURCE, Phase.WAITING, Phase.PENDING)
"""In the order in which somebody should look at them."""

_MOST_NAMED: Final = 40
_LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class _Case:
    """What environments need somebody for. What is the same for many of them is told once."""

    label: str
    reason: str

    @classmethod
    def of(cls, standing: Standing) -> _Case | None:
        """None where all is well."""
        if standing.phase is Phase.FAILED:
            return cls(standing.phase, _told((*standing.diagnostics, *standing.source_problems)))
        if standing.phase in (Phase.WAITING, Phase.PENDING):
            return cls(standing.phase, _planned(standing))
        if standing.source_problems:
            return cls(_NO_SOURCE, _told(standing.source_problems))
        return None


def overview(standings: Sequence[Standing], now: datetime) -> str:
    cases: dict[_Case, list[Standing]] = {}
    well: list[Standing] = []
    for standing in sorted(standings, key=lambda item: (_ORDER.index(item.phase), item.key)):
        case = _Case.of(standing)
        (well if case is None else cases.setdefault(case, [])).append(standing)
    needing = sorted(cases.items(), key=lambda item: _CASES.index(item[0].label))
    counts = Counter({label: 0 for label in _CASES})
    for case, members in needing:
        counts[case.label] += len(members)
    counts.update(item.phase for item in well)
    tallies = {label: count for label, count in counts.items() if count}
    return document(
        _title(tallies, len(standings)),
        f"<h1>Environments</h1>{_tallies(tallies, sum(bool(item.drifts) for item in standings))}"
        f"{''.join(_card(case, members, now) for case, members in needing)}{_table(well, now)}",
        now,
    )


def _title(tallies: Mapping[str, int], count: int) -> str:
    """What a tab of a browser has room for."""
    needing = [f"{tallies[label]} {label}" for label in _CASES if label in tallies]
    return ", ".join(needing) or plural(count, "environment")


def _tallies(tallies: Mapping[str, int], drifted: int) -> str:
    shown = [*tallies.items(), *([("drifted", drifted)] if drifted else [])]
    items = "".join(f'<li class="{_tone(label)}"><b>{count}</b> {label}</li>' for label, count in shown)
    return f"<ul class=tallies>{items}</ul>"


def _tone(label: str) -> str:
    return str(Phase.FAILED) if label == _NO_SOURCE else label


def _card(case: _Case, members: Sequence[Standing], now: datetime) -> str:
    names = [link(item.key) for item in members[:_MOST_NAMED]]
    if len(members) > _MOST_NAMED:
        names.append(f"and {len(members) - _MOST_NAMED} more")
    count = f" <b>× {len(members)}</b>" if len(members) > 1 else ""
    return (
        f'<section class="case {_tone(case.label)}"><p class=names>{badge(case.label, _tone(case.label))}{count} '
        f"{' '.join(names)}</p>"
        f"<p class=reason>{case.reason}</p>{_next(case, members[0], now) if len(members) == 1 else ''}</section>"
    )


def _next(case: _Case, standing: Standing, now: datetime) -> str:
    parts = []
    if standing.failures > 1:
        parts.append(f"{standing.failures} times in a row")
    if standing.next_at is not None:
        parts.append(f"looked at again {distance(standing.next_at, now)}")
    if case.label == Phase.WAITING:
        parts.append(f'<a href="{path(standing.key)}">how to approve it</a>')
    return f"<p class=faint>{', '.join(parts)}</p>" if parts else ""


def _told(diagnostics: Sequence[Diagnostic]) -> str:
    if not diagnostics:
        return ""
    first = diagnostics[0]
    text = f"{first}: {first.detail.splitlines()[0]}" if first.detail else str(first)
    shown = text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"
    more = f" <span class=faint>and {len(diagnostics) - 1} more</span>" if len(diagnostics) > 1 else ""
    return f"{escape(shown)}{more}"


def _planned(standing: Standing) -> str:
    parts = [] if standing.plan is None else [escape(counted(standing.plan.summary.items()))]
    lost = sum(change.data_loss for change in standing.pending)
    if lost:
        parts.append(f"<b class=failed>deletes data of {plural(lost, 'object')}</b>")
    if standing.digest:
        parts.append(f"plan <code>{escape(standing.digest)}</code>")
    if standing.source_problems:
        parts.append(_told(standing.source_problems))
    return ", ".join(parts)


def _table(standings: Sequence[Standing], now: datetime) -> str:
    if not standings:
        return ""
    rows = "".join(_row(item, now) for item in standings)
    return (
        "<table class=environments><thead><tr><th>Environment<th>State<th>Revision<th>Drift<th>Looked at<th>Next"
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _row(standing: Standing, now: datetime) -> str:
    drifts = len(standing.drifts)
    leader = f" <span class=faint>{escape(standing.leader)}</span>" if standing.leader else ""
    cells = (
        ("Environment", link(standing.key)),
        ("State", f"{badge(standing.phase, standing.phase)}{leader}"),
        ("Revision", revision(standing)),
        ("Drift", f"<b class=drifted>{drifts}</b>, {distance(standing.drifted_at, now)}" if drifts else ""),
        ("Looked at", distance(standing.observed_at, now)),
        ("Next", distance(standing.next_at, now)),
    )
    written = (f'<td data-label="{name}">{cell}</td>' for name, cell in cells)
    return f"<tr>{''.join(written)}</tr>"
