"""What the account allows, held against what a plan needs: told before anything is begun."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nexus.kinds.durations import format_duration
from nexus.model.changes import Plan, Verb
from nexus.model.diagnostics import Diagnostic, SourceRange, error, warning
from nexus.model.observation import Observation, Presence
from nexus.model.state import State
from nexus.planning.evaluate import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """What the manifest says of the account; None is not bounded. ``max_timeout`` is in seconds.

    ``tier`` is "" where the numbers are said one by one; ``places`` tells where each stands.
    """

    concurrent_sandboxes: int | None = None
    max_timeout: int | None = None
    tier: str = ""
    places: Mapping[str, SourceRange | None] = field(default_factory=dict)

    def place(self, name: str) -> SourceRange | None:
        return self.places.get(name) or self.places.get("tier")

    @property
    def account(self) -> str:
        return f"an account of the tier {self.tier}" if self.tier else "this account"


def over_quota(
    plan: Plan, evaluation: Evaluation, state: State, observation: Observation, limits: AccountLimits
) -> Iterator[Diagnostic]:
    """What of the plan the account would refuse."""
    if limits.concurrent_sandboxes is not None:
        yield from _too_many(plan, state, observation, limits, limits.concurrent_sandboxes)
    if limits.max_timeout is not None and not plan.options.destroy:
        yield from _too_long(evaluation, limits, limits.max_timeout)


def _too_many(
    plan: Plan, state: State, observation: Observation, limits: AccountLimits, allowed: int
) -> Iterator[Diagnostic]:
    of_sandboxes = [operation for operation in plan.operations if operation.address.kind == "sandbox"]
    started = sum(operation.verb in (Verb.CREATE, Verb.RESUME) for operation in of_sandboxes)
    if not started:
        return
    records = {record.uid for record in (*state.resources.values(), *state.deposed)}
    running = {uid for uid in records if uid in observation.records and _runs(observation, uid)}
    ended = sum(operation.verb is Verb.DELETE and operation.uid in running for operation in of_sandboxes)
    needed = len(running) + started - ended
    hint = "raise provider.concurrent_sandboxes if the account allows more, or declare fewer"
    place = limits.place("concurrent_sandboxes")
    if needed > allowed:
        detail = f"The project needs {needed} sandboxes at once; {limits.account} allows {allowed}."
        yield error(
            "quota-exceeded", "The account does not allow so many sandboxes", detail=detail, hint=hint, range=place
        )
    elif observation.running is not None and (others := observation.running - len(running)) + needed > allowed:
        detail = (
            f"The project needs {needed} sandboxes at once, and {others} of others run in the account; "
            f"{limits.account} allows {allowed}."
        )
        hint = "«nexus list --all» shows all of them; what can't be started is skipped, and the next apply continues"
        yield warning(
            "quota-short", "The account may not have room for so many sandboxes", detail=detail, hint=hint, range=place
        )


def _runs(observation: Observation, uid: str) -> bool:
    return observation.records[uid].presence is Presence.RUNNING


def _too_long(evaluation: Evaluation, limits: AccountLimits, allowed: int) -> Iterator[Diagnostic]:
    told: set[SourceRange | None] = set()
    for evaluated in evaluation.evaluated():
        spec, timeout = evaluated.spec, evaluated.concealed.get("timeout")
        if spec.address.kind != "sandbox" or not isinstance(timeout, int) or timeout <= allowed:
            continue
        place = spec.field_sources.get("timeout", spec.source)
        if place not in told:  # instances share their block
            told.add(place)
            yield error(
                "timeout-too-long",
                "The timeout is longer than the account allows",
                detail=f"{spec.address} asks for {format_duration(timeout)}; {limits.account} allows "
                f"{format_duration(allowed)}.",
                hint="ask for less, with on_timeout: pause where what is in the sandbox has to stay",
                address=str(spec.address),
                range=place,
            )
