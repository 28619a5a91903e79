"""How an apply ended, for people: what was done, what was not and why, how long it took, what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from nexus.model.addresses import Address
from nexus.model.changes import Action, Plan, PlanOptions
from nexus.model.events import ApplyFinished, OperationFinished, Outcome
from nexus.render.bundles import alike, title
from nexus.render.values import duration
from nexus.render.words import DONE

_WELL: Final = (Outcome.SUCCEEDED, Outcome.UNCHANGED)
_COMES_TO_LIFE: Final = (Action.CREATE, Action.REPLACE, Action.RESUME, Action.ADOPT)


def summary_text(event: ApplyFinished, plan: Plan | None, ended_badly: Sequence[OperationFinished]) -> Text:
    """``plan`` is what was to be done; ``ended_badly`` the operations that failed or did not come about."""
    whole = not event.interrupted and all(outcome in _WELL for outcome in event.changes.values())
    command = "apply" if plan is None else command_of(plan)
    word = command.partition(" ")[0].capitalize()
    ending = "complete" if whole else "interrupted" if event.interrupted else "incomplete"
    text = Text.assemble((f"{word} {ending} in {duration(event.seconds)}: ", "ok" if whole else "error"))
    text.append(_counts(event, plan) or "nothing was done").append(".")
    if whole:
        return text.append_text(_next(event, plan))
    for line in _what_went_wrong(ended_badly):
        text.append("\n").append_text(line)
    first = "" if event.interrupted else "Mend what failed, then run"
    text.append(f"\n{first or 'Run'} «nexus {command}» again to continue: what was done is recorded.", style="hint")
    return text


def offer_text(plan: Plan, *, has_values: bool = False) -> Text:
    """What one types to do what a plan shows; empty where there is nothing to do, or it may not be done.

    ``has_values`` says that variables were given on the command line.
    """
    if plan.is_empty or plan.is_denied:
        return Text()
    has_options = has_values or plan.options != PlanOptions(destroy=plan.options.destroy)
    options = ", with the same options" if has_options else ""
    return Text(f"To do this: nexus {command_of(plan)}{options}", style="hint")


def command_of(plan: Plan) -> str:
    """The command that makes such a plan, such as ``destroy -e prod``."""
    environment = [] if plan.environment == "default" else ["-e", plan.environment]
    if plan.options.run:
        pipelines = dict.fromkeys(step.name.partition(".")[0] for step in plan.options.run)
        return " ".join(["run", *pipelines, *environment])
    return " ".join(["destroy" if plan.options.destroy else "apply", *environment])


def _counts(event: ApplyFinished, plan: Plan | None) -> str:
    """``3 created, 1 replaced, 1 failed``."""
    actions = {} if plan is None else {change.address: change.action for change in plan.changes}
    done = Counter(actions.get(address) for address, outcome in event.changes.items() if outcome is Outcome.SUCCEEDED)
    parts = [f"{done[action]} {DONE[action]}" for action in Action if done[action]]
    outcomes = Counter(event.changes.values())
    others = [outcome for outcome in Outcome if outcome is not Outcome.SUCCEEDED]
    parts += [f"{outcomes[outcome]} {outcome}" for outcome in others if outcomes[outcome]]
    return ", ".join(parts)


def _next(event: ApplyFinished, plan: Plan | None) -> Text:
    """What one does with a sandbox that has just come to life; nothing where none has."""
    alive = [
        change.address
        for change in (() if plan is None else plan.changes)
        if change.address.kind == "sandbox"
        and change.action in _COMES_TO_LIFE
        and event.changes.get(change.address) is Outcome.SUCCEEDED
    ]
    if plan is None or not alive:
        return Text()
    environment = "" if plan.environment == "default" else f" -e {plan.environment}"
    first = min(alive, key=lambda address: (address.key is not None, alive.index(address)))
    name = first.name if first.key is None else shlex.quote(f"{first.name}[{first.key}]")
    commands = [f"nexus {verb} {name}{environment}" for verb in ("shell", "logs")]
    return Text(f"\nNext: {', '.join(commands)}; nexus destroy{environment} when you are done", style="hint")


def _what_went_wrong(ended_badly: Sequence[OperationFinished]) -> Iterator[Text]:
    """What failed, then what was not begun because of it: a line for each resource, or for many alike."""
    failed = {item.operation.address: item for item in ended_badly if item.outcome is Outcome.FAILED}
    others = {item.operation.address: item for item in reversed(ended_badly)}
    told = {address: item.diagnostic.summary if item.diagnostic else "failed" for address, item in failed.items()}
    yield from _lines("  ✗ ", "error", told)
    untouched = {
        address: f"{item.outcome}, {item.reason}" if item.reason else str(item.outcome)
        for address, item in sorted(others.items())
        if address not in failed
    }
    yield from _lines("  - ", "faint", untouched)


def _lines(mark: str, style: str, told: dict[Address, str]) -> Iterator[Text]:
    for addresses in alike(told):
        yield Text.assemble((mark, style), (title(addresses), "address"), f": {told[addresses[0]]}")
