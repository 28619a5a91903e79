"""How an apply ended, for people: what was done, what was not and why, how long it took, what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.text import Text

from nexus.model.addresses import Address
from nexus.model.changes import Action
from nexus.model.events import ApplyFinished, OperationFinished, Outcome
from nexus.render.values import duration
from nexus.render.words import DONE

_WELL = (Outcome.SUCCEEDED, Outcome.UNCHANGED)


def summary_text(
    event: ApplyFinished,
    actions: Mapping[Address, Action],
    ended_badly: Sequence[OperationFinished],
    *,
    command: str,
) -> Text:
    """``actions`` are those that were planned; ``ended_badly`` the operations that failed or did not come about.

    ``command`` is what continues it, such as ``destroy``.
    """
    whole = not event.interrupted and all(outcome in _WELL for outcome in event.changes.values())
    word = command.partition(" ")[0].capitalize()
    ending = "complete" if whole else "interrupted" if event.interrupted else "incomplete"
    text = Text.assemble((f"{word} {ending} in {duration(event.seconds)}: ", "ok" if whole else "error"))
    text.append(_counts(event, actions) or "nothing was done").append(".")
    if whole:
        return text
    for line in _account(ended_badly):
        text.append("\n").append_text(line)
    first = "" if event.interrupted else "Mend what failed, then run"
    text.append(f"\n{first or 'Run'} «nexus {command}» again to continue: what was done is recorded.", style="hint")
    return text


def _counts(event: ApplyFinished, actions: Mapping[Address, Action]) -> str:
    """``3 created, 1 replaced, 1 failed``."""
    done = Counter(actions.get(address) for address, outcome in event.changes.items() if outcome is Outcome.SUCCEEDED)
    parts = [f"{done[action]} {DONE[action]}" for action in Action if done[action]]
    outcomes = Counter(event.changes.values())
    others = [outcome for outcome in Outcome if outcome is not Outcome.SUCCEEDED]
    parts += [f"{outcomes[outcome]} {outcome}" for outcome in others if outcomes[outcome]]
    return ", ".join(parts)


def _account(ended_badly: Sequence[OperationFinished]) -> list[Text]:
    """A line for each resource: what failed, then what was not begun because of it."""
    failed = {item.operation.address: item for item in ended_badly if item.outcome is Outcome.FAILED}
    lines = [
        Text.assemble(
            ("  ✗ ", "error"),
            (str(address), "address"),
            f": {item.diagnostic.summary if item.diagnostic else 'failed'}",
        )
        for address, item in failed.items()
    ]
    others = {item.operation.address: item for item in reversed(ended_badly)}
    for address, item in sorted(others.items()):
        if address not in failed:
            why = f", {item.reason}" if item.reason else ""
            lines.append(Text.assemble(("  - ", "faint"), (str(address), "address"), f": {item.outcome}{why}"))
    return lines
