"""Whether a saved plan is still what would be done, and in words what is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Plan, Verb
from nexus.planning.saved import SavedPlan

_BY_TIME_ALONE: Final = (Action.EXTEND, Verb.EXTEND)
"""What the passing of time brings about: nobody changed anything."""


def difference(saved: SavedPlan, fresh: Plan) -> list[str]:
    """Sentences, one for each difference; none when the saved plan may be applied."""
    old = saved.plan
    found = [*_bases(old, fresh), *_inputs(old, fresh), *_changes(old, fresh)]
    if not found and _work(old) != _work(fresh):
        found.append("The operations that lead there are other ones now.")
    return found


def _bases(old: Plan, new: Plan) -> Iterator[str]:
    for what, before, after in (
        ("project", old.project, new.project),
        ("environment", old.environment, new.environment),
        ("target", str(old.target), str(new.target)),
    ):
        if before != after:
            yield f"It was made for the {what} {before}, and this is {after}."
    if old.lineage != new.lineage:
        yield "It was made for another state."
    elif old.base_serial != new.base_serial:
        yield f"The state was written since: its serial was {old.base_serial} and is {new.base_serial}."


def _inputs(old: Plan, new: Plan) -> Iterator[str]:
    names = dict.fromkeys((*old.variables, *new.variables))
    changed = [name for name in names if old.variables.get(name) != new.variables.get(name)]
    if changed:
        yield f"Variables have other values: {', '.join(changed)}."
    if old.options != new.options:
        yield "It was made with other options."


def _changes(old: Plan, new: Plan) -> Iterator[str]:
    before, after = _by_address(old), _by_address(new)
    for key in dict.fromkeys((*before, *after)):
        was, now = before.get(key), after.get(key)
        address = key[0]
        if was is None and now is not None:
            yield f"{address}: {now.action} ({now.cause}) is not in the saved plan."
        elif now is None and was is not None:
            yield f"{address}: {was.action} ({was.cause}) is in the saved plan and not needed any more."
        elif was is not None and now is not None:
            yield from _one(address, was, now)


def _one(address: Address, was: Change, now: Change) -> Iterator[str]:
    if was.action is not now.action:
        yield f"{address}: {now.action} ({now.cause}) instead of {was.action}."
        return
    fields, others = {diff.path: diff for diff in was.fields}, {diff.path: diff for diff in now.fields}
    paths = [path for path in dict.fromkeys((*fields, *others)) if fields.get(path) != others.get(path)]
    if paths:
        yield f"{address}: {', '.join(paths)} would change in another way."
    elif was.data_loss != now.data_loss:
        yield f"{address}: whether data is lost is another answer now."


def _by_address(plan: Plan) -> dict[tuple[Address, int], Change]:
    """Changes by address; an address has a second one where a leftover of it is deleted."""
    found: dict[tuple[Address, int], Change] = {}
    seen: Counter[Address] = Counter()
    for change in plan.changes:
        if change.action not in _BY_TIME_ALONE:
            found[change.address, seen[change.address]] = change
            seen[change.address] += 1
    return found


def _work(plan: Plan) -> Counter[tuple[Verb, Address, str, str]]:
    return Counter(
        (operation.verb, operation.address, operation.unit, operation.uid)
        for operation in plan.operations
        if operation.verb not in _BY_TIME_ALONE
    )
