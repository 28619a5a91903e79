"""A project to draw: templates, instances, a step, something that is left over, and names that are meant to hurt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nexus.costs import E2B_RATES, cost_of
from nexus.graph import Dag, DesiredGraph
from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Effect, FieldDiff, Opening, Opens, Operation, Plan, Verb
from nexus.model.costs import FREE, PlanCost, SandboxCost, Size
from nexus.model.diagnostics import SourcePos, SourceRange, error, warning
from nexus.model.resources import ResourceSpec
from nexus.model.state import Target
from nexus.model.values import UNKNOWN, Fingerprint, Value

HOSTILE = '</script><img src=x onerror="document.title=1">'
DIGEST = "fingerprint-of-a-secret"

BASE = Address("catalogue", "python")
TEMPLATE = Address("template", "web")
DB = Address("sandbox", "db")
WEB = [Address("sandbox", "web", key) for key in ("eu", "us", HOSTILE)]
STEP = Address("step", "check.fetch")
LONELY = Address("volume", "data")
OLD = Address("sandbox", "old")
OLD_TEMPLATE = Address("template", "old")

NEEDS: Mapping[Address, tuple[Address, ...]] = {
    BASE: (),
    TEMPLATE: (BASE,),
    DB: (TEMPLATE,),
    **{address: (TEMPLATE, DB) for address in WEB},
    STEP: (*WEB, DB),
    LONELY: (),
}


def place(line: int) -> SourceRange:
    return SourceRange("nexus.yaml", SourcePos(line, 3), SourcePos(line, 6))


def graph(needs: Mapping[Address, tuple[Address, ...]] = NEEDS) -> DesiredGraph:
    return DesiredGraph(
        resources={
            address: ResourceSpec(address=address, attributes={}, depends_on=needed, source=place(10 + number))
            for number, (address, needed) in enumerate(needs.items())
        },
        dag=Dag(needs),
    )


def field(path: str, before: Value, after: Value, effect: Effect = Effect.SETUP, note: str = "") -> FieldDiff:
    return FieldDiff(path=path, before=before, after=after, effect=effect, note=note)


def change(address: Address, action: Action, cause: str, *fields: FieldDiff, data_loss: bool = False) -> Change:
    return Change(address=address, action=action, cause=cause, fields=fields, data_loss=data_loss, source=place(20))


CHANGES = (
    change(TEMPLATE, Action.UPDATE, "build inputs changed", field("packages.pip", ["six"], ["six", HOSTILE])),
    change(
        DB,
        Action.REPLACE,
        "template changed",
        field("template", "one:spec-1", UNKNOWN, Effect.REPLACE),
        field('env_vars["TOKEN"]', Fingerprint(DIGEST), Fingerprint(f"{DIGEST}2")),
        field("startup_script", "set -e\necho one\n", f"set -e\necho {HOSTILE}\n```\n"),
        data_loss=True,
    ),
    *(
        change(address, Action.CREATE, "not in state", field("env_vars", None, {"K": str(address.key), "S": UNKNOWN}))
        for address in WEB
    ),
    change(STEP, Action.RUN, "code changed", field("code", "print(1)", "print(2)")),
    change(OLD, Action.DELETE, "not in the manifest any more"),
    change(OLD_TEMPLATE, Action.DELETE, "not in the manifest any more"),
)

OPERATIONS = (
    Operation(id="op-1", verb=Verb.BUILD, address=TEMPLATE),
    Operation(id="op-2", verb=Verb.DELETE, address=OLD, uid="u"),
    Operation(id="op-3", verb=Verb.CREATE, address=DB, needs=("op-1",)),
    *(
        Operation(id=f"op-4{number}", verb=Verb.CREATE, address=address, needs=("op-3",))
        for number, address in enumerate(WEB)
    ),
    Operation(id="op-5", verb=Verb.RUN_STEP, address=STEP, needs=("op-40", "op-41", "op-42")),
    Operation(id="op-6", verb=Verb.DELETE, address=OLD_TEMPLATE, uid="u", needs=("op-2",)),
)


def plan(changes: tuple[Change, ...] = CHANGES, operations: tuple[Operation, ...] = OPERATIONS) -> Plan:
    return Plan(
        project="shop",
        environment="default",
        target=Target("local"),
        lineage="l",
        base_serial=1,
        changes=changes,
        operations=operations,
        diagnostics=(warning("long-timeout", f"A warning about @someone, #12 and {HOSTILE}", range=place(3)),),
    )


def consequential() -> Plan:
    """The plan, with what it opens and costs, and denied by a policy."""
    size = Size(2, 4096)
    return replace(
        plan(),
        openings=(
            Opening(address=WEB[0], opens=Opens.INTERNET, detail=f"all of it, {HOSTILE}"),
            Opening(address=DB, opens=Opens.SECRET, detail="secrets.token in env_vars.TOKEN"),
        ),
        cost=PlanCost(
            rates=E2B_RATES,
            billed=True,
            sandboxes=(
                SandboxCost(address=WEB[0], size=size, assumed=True, before=FREE, after=cost_of(size, 3600)),
                SandboxCost(address=OLD, size=size, assumed=False, before=cost_of(size, 600), after=FREE),
            ),
        ),
        diagnostics=(
            *plan().diagnostics,
            error("policy-denied", f"Nothing may reach {HOSTILE}", range=place(12)),
        ),
    )
