"""How an apply ended, for people: what was done, what was not and why, how long it took, what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from nexus.model.addresses import Address
from nexus.model.changes import Action, Plan
from nexus.model.events import ApplyFinished, OperationFinished, Outcome
from nexus.render.bundles import alike, title
from nexus.render.values import duration
from nexus.render.words import DONE

_WELL: Final = (Outcome.SUCCEEDED, Outcome.UNCHANGED)
_COMES_TO_LIFE: Final = (Action.CREATE, Action.REPLACE, Action.RESUME, Action.ADOPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What was typed around a command, so that what is to be typed next is whole: the words before it, and options.

    ``place`` says where sandboxes are, and goes with every command; ``values`` of variables only with those that plan.
    ``environment`` is as it was typed, ``preview/login``, which objects are not called by; "" leaves it to the plan.
    ``command`` is what makes the same plan again, where the plan itself does not tell.
    """

    before: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    environment: str = ""
    command: tuple[str, ...] = ()

    def line(self, *words: str, values: bool = False) -> str:
        """A command as one types it into a shell."""
        return shlex.join(("nexus", *self.before, *words, *self.place, *(self.values if values else ())))

    def in_environment(self, planned: str = "") -> tuple[str, ...]:
        """The option that chooses it, or the one that was ``planned``; nothing for the one that is chosen anyhow."""
        environment = self.environment or planned
        return () if environment == "default" else ("-e", environment)


def summary_text(
    event: ApplyFinished, plan: Plan | None, ended_badly: Sequence[OperationFinished], typed: Typed
) -> Text:
    """``plan`` is what was to be done; ``ended_badly`` the operations that failed or did not come about."""
    whole = not event.interrupted and all(outcome in _WELL for outcome in event.changes.values())
    command = typed.command or (("apply",) if plan is None else command_of(plan, typed))
    word = command[0].capitalize()
    ending = "complete" if whole else "interrupted" if event.interrupted else "incomplete"
    text = Text.assemble((f"{word} {ending} in {duration(event.seconds)}: ", "ok" if whole else "error"))
    text.append(_counts(event, plan) or "nothing was done").append(".")
    if whole:
        return text.append_text(_next(event, plan, typed))
    for line in _what_went_wrong(ended_badly):
        text.append("\n").append_text(line)
    first = "" if event.interrupted else "Mend what failed, then run"
    again = typed.line(*command, values=True)
    text.append(f"\n{first or 'Run'} «{again}» again to continue: what was done is recorded.", style="hint")
    return text


def offer_text(plan: Plan, typed: Typed) -> Text:
    """What one types to do what a plan shows; empty where there is nothing to do, or it may not be done."""
    if plan.is_empty or plan.is_denied:
        return Text()
    return Text(f"To do this: {typed.line(*command_of(plan, typed), values=True)}", style="hint")


def command_of(plan: Plan, typed: Typed) -> tuple[str, ...]:
    """The command that makes such a plan, such as ``destroy -e prod``, word by word."""
    options = plan.options
    environment = typed.in_environment(plan.environment)
    if options.run:
        pipelines = dict.fromkeys(step.name.partition(".")[0] for step in options.run)
        return (options.command, *pipelines, *environment)
    if options.promote_from:
        to = typed.environment or plan.environment
        return (options.command, *map(str, options.targets), "--from", options.promote_from, "--to", to)
    selected = (("--target", options.targets), ("--exclude", options.excludes), ("--replace", options.replace))
    flags = {
        "--no-refresh": not options.refresh,
        "--deep": options.deep,
        "--refresh-only": options.refresh_only,
        "--allow-missing": options.allow_missing,
        "--locked": options.locked,
    }
    return (
        options.command,
        *environment,
        *(word for option, addresses in selected for address in addresses for word in (option, str(address))),
        *(flag for flag, is_set in flags.items() if is_set),
    )


def _counts(event: ApplyFinished, plan: Plan | None) -> str:
    """``3 created, 1 replaced, 1 failed``."""
    actions = {} if plan is None else {change.address: change.action for change in plan.changes}
    done = Counter(actions.get(address) for address, outcome in event.changes.items() if outcome is Outcome.SUCCEEDED)
    parts = [f"{done[action]} {DONE[action]}" for action in Action if done[action]]
    outcomes = Counter(event.changes.values())
    others = [outcome for outcome in Outcome if outcome is not Outcome.SUCCEEDED]
    parts += [f"{outcomes[outcome]} {outcome}" for outcome in others if outcomes[outcome]]
    return ", ".join(parts)


def _next(event: ApplyFinished, plan: Plan | None, typed: Typed) -> Text:
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
    environment = typed.in_environment(plan.environment)
    first = min(alive, key=lambda address: (address.key is not None, alive.index(address)))
    name = first.name if first.key is None else f"{first.name}[{first.key}]"
    commands = [typed.line(verb, name, *environment) for verb in ("shell", "logs")]
    destroy = typed.line("destroy", *environment, values=True)
    return Text(f"\nNext: {', '.join(commands)}; {destroy} when you are done", style="hint")


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
