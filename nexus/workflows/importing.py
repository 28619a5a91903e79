"""The use case `import`: a live sandbox that nexus did not make becomes the one of a block. Nothing is done to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from nexus.expressions import escaped
from nexus.graph.desired import Import
from nexus.kinds.definitions import DEFINITIONS
from nexus.kinds.durations import format_duration
from nexus.model.addresses import Address
from nexus.model.changes import Change, Plan, PlanOptions, Verb
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.events import Event
from nexus.model.observation import Observed, Presence
from nexus.workflows.applying import Applied, carry_out, grounded
from nexus.workflows.limits import pacing
from nexus.workflows.loading import Project
from nexus.workflows.locking import locked
from nexus.workflows.planning import Draft, draw_up
from nexus.workflows.session import Session
from nexus.workflows.surveying import explained, survey

_CATALOGUE_PREFIX = "nexus-"
_DEFAULT_TAG = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """``change`` is what an apply would do to it, the import included."""

    address: Address
    id: str
    change: Change
    diagnostics: tuple[Diagnostic, ...] = ()


async def import_sandbox(
    project: Project, session: Session, address: Address, live_id: str, patience: float = 0.0
) -> Imported:
    """Remember ``live_id`` as ``address``. What differs from its block is left for the next apply.

    Raises DiagnosticsError when there is no such sandbox, its block asks for what it can't be changed to, or the state
    has that address already.
    """
    _check_declared(project, address)
    desired = replace(project.desired, imports={address: Import(address, live_id)})
    wanting = replace(project, desired=desired)
    options = PlanOptions(targets=(address,))
    async with locked(session, "import", patience) as note:
        found = await survey(wanting, session, options, lineage=session.ids(), for_apply=True)
        if address in found.state.resources:
            raise DiagnosticsError(_known_already(address, found.state.resources[address].id))
        draft = await draw_up(wanting, session, found, options)
        change = next(item for item in draft.plan.changes if item.address == address)
        await session.backend.lock.verify()
        applied = await _adopt(session, wanting, replace(draft, plan=_only_adopting(draft.plan, address)))
    if applied.result is None or not applied.result.succeeded:
        raise DiagnosticsError(applied.diagnostics)
    notes = (*applied.diagnostics, *(() if note is None else (note,)))
    return Imported(address=address, id=live_id, change=change, diagnostics=notes)


async def manifest_for(session: Session, address: Address, live_id: str) -> str:
    """A block that fits the live sandbox, and the entry of «import» that takes it over, as YAML."""
    async with explained():
        seen = (await session.provider.examine({address: live_id}))[address]
    if seen.presence not in (Presence.RUNNING, Presence.PAUSED):
        raise DiagnosticsError(
            error(
                "import-not-found",
                f"There is no sandbox {live_id}",
                hint="«nexus list --all» shows the sandboxes of the account",
            )
        )
    return "\n".join(_block(address, live_id, seen)) + "\n"


# ---- parts


async def _adopt(session: Session, project: Project, draft: Draft) -> Applied:
    def unheard(event: Event) -> None: ...

    return await carry_out(session, await grounded(session, draft), pacing(project, 1), unheard, lambda _: None)


def _only_adopting(plan: Plan, address: Address) -> Plan:
    """The plan without all that would be changed: that is for the next apply."""
    adoption = next(item for item in plan.operations if item.verb is Verb.ADOPT and item.address == address)
    return replace(plan, operations=(replace(adoption, needs=()),))


def _check_declared(project: Project, address: Address) -> None:
    if address.kind == "sandbox" and address in project.desired.resources:
        return
    what = "no block for it" if address.kind == "sandbox" else f"only sandboxes can be imported, no {address.kind}"
    raise DiagnosticsError(
        error(
            "invalid-import",
            f"Nothing can be imported as {address}",
            detail=f"{what[0].upper()}{what[1:]}.",
            hint=f"«nexus import --generate '{address}' ID» writes a block" if address.kind == "sandbox" else "",
            address=str(address),
        )
    )


def _known_already(address: Address, live_id: str) -> Diagnostic:
    return error(
        "already-in-state",
        f"The state has {address} already",
        detail=f"It is {live_id}.",
        hint=f"forget that one first: nexus state rm '{address}'",
        address=str(address),
    )


def _block(address: Address, live_id: str, seen: Observed) -> Iterator[str]:
    facts = seen.facts
    yield "sandboxes:"
    yield f"  {address.name}:"
    yield f"    template: {_template(facts.get('templates'))}"
    lifetime = facts.get("timeout")
    if isinstance(lifetime, int) and lifetime > 0:
        yield f"    timeout: {format_duration(lifetime)}"
    if facts.get("on_timeout") == "pause":
        yield "    on_timeout: pause"
    if facts.get("auto_resume"):
        yield "    auto_resume: true"
    for name in ("volumes", "metadata"):
        if facts.get(name):
            yield f"    {name}: {escaped(json.dumps(facts[name], ensure_ascii=False))}"
    yield "import:"
    yield f"  - {{to: {json.dumps(str(address), ensure_ascii=False)}, id: {live_id}}}"


def _template(names: object) -> str:
    """A name that means the template in a manifest, where the catalogue's names come first.

    With a tag, a name of the catalogue is E2B's own template of that name.
    """
    known = [str(name) for name in names] if isinstance(names, list) else []
    reserved = {name for item in DEFINITIONS.values() for name in (item.name, *item.aliases)}
    for name in known:
        if name.removeprefix(_CATALOGUE_PREFIX) in DEFINITIONS and name.startswith(_CATALOGUE_PREFIX):
            return name.removeprefix(_CATALOGUE_PREFIX)
    plain = next((name for name in known if name not in reserved and "/" not in name), None)
    return plain or f"{next(iter(known), 'base')}:{_DEFAULT_TAG}"
