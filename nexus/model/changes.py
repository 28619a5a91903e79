"""A plan in two views: changes for people, operations for the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from nexus.model.addresses import Address
from nexus.model.costs import PlanCost
from nexus.model.diagnostics import Diagnostic, Severity, SourceRange
from nexus.model.state import Target
from nexus.model.values import Value, has_sensitive, is_wholly_known

PLAN_VERSION: Final = 1


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    RUN = "run"
    RESUME = "resume"
    EXTEND = "extend"
    ADOPT = "adopt"
    FORGET = "forget"
    RELEASE = "release"  # left in the account, paused, and forgotten
    REFRESH = "refresh"  # what was found out there is taken into the state


class Effect(StrEnum):
    """What changing a field does to the live object."""

    REPLACE = "replace"
    IN_PLACE = "in-place"
    SETUP = "setup"
    REBUILD = "rebuild"
    RERUN = "run"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDiff:
    """One field that differs. ``before`` and ``after`` are concealed; None stands for absent.

    ``note`` adds what the values alone don't say, such as «3 files changed».
    """

    path: str
    before: Value
    after: Value
    effect: Effect
    note: str = ""

    @property
    def unknown(self) -> bool:
        return not is_wholly_known(self.after)

    @property
    def sensitive(self) -> bool:
        return has_sensitive(self.before) or has_sensitive(self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What will happen to one resource, and why, for people."""

    address: Address
    action: Action
    cause: str
    fields: tuple[FieldDiff, ...] = ()
    data_loss: bool = False
    source: SourceRange | None = None

    @property
    def goes(self) -> bool:
        """Whether the project has nothing of it afterwards."""
        return self.action in (Action.DELETE, Action.FORGET, Action.RELEASE)


class Verb(StrEnum):
    """What one operation does. Each is one effect on one object; ``unit`` of the operation says which part of it."""

    CREATE = "create"
    ARM = "arm"  # gives a sandbox made with a short lease its real time to live
    EXTEND = "extend"
    RESUME = "resume"
    SET_NETWORK = "set-network"
    SET_ENV = "set-env"
    INSTALL = "install"  # units: apt, pip, npm
    UPLOAD = "upload"
    RUN_COMMAND = "run-command"  # units: run_commands[N], startup_script
    START = "start"  # stops the old start_command, starts the new one
    AWAIT_READY = "await-ready"
    BUILD = "build"
    SET_TAGS = "set-tags"
    SET_PUBLIC = "set-public"
    RUN_STEP = "run-step"
    DELETE = "delete"  # units: pause, snapshot, where on_destroy asks for them
    FORGET = "forget"
    ADOPT = "adopt"  # unit: the id of the live object that is remembered from now on
    RECORD = "record"  # changes nothing out there: takes changed fields that need no work into the state
    CHECK = "check"  # units: precondition, postcondition
    REFRESH = "refresh"  # changes nothing out there: takes what was found there into the state


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One effect. ``needs`` are ids of operations that must have succeeded before.

    ``uid`` names the incarnation that a delete or a forget means. A step with ``force`` runs even when it turns out
    that what it is made of is the same as last time. ``limit`` is how many seconds it may take; None is for ever.
    """

    id: str
    verb: Verb
    address: Address
    needs: tuple[str, ...] = ()
    unit: str = ""
    cause: str = ""
    uid: str = ""
    force: bool = False
    limit: int | None = None

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.id} {self.verb}{unit} {self.address}"


class Opens(StrEnum):
    """What a change gives away that was closed before."""

    INTERNET = "internet"  # everything outside may be reached
    EGRESS = "egress"  # something more outside may be reached
    PORT = "port"  # a port is published under a URL
    SECRET = "secret"  # noqa: S105 - a secret is handed in; this is none
    TIME = "time"  # it lives longer
    TEMPLATE = "template"  # other accounts may use it


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One thing that a plan opens. ``detail`` says what, as the manifest calls it; never the value of a secret."""

    address: Address
    opens: Opens
    detail: str
    source: SourceRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What was asked of the planner; kept in a saved plan so that it can be made again and compared.

    ``run`` names steps that are asked for: those with ``on: manual`` run only then. ``deep`` looks into sandboxes too.
    ``refresh_only`` takes what is out there into the state, and changes nothing else. ``allow_missing`` believes that
    everything is gone, even where it looks like another account. ``locked`` refuses what the lock file does not have.
    ``promote_from`` names another environment: templates, and nothing else, get the builds that are there.
    """

    targets: tuple[Address, ...] = ()
    excludes: tuple[Address, ...] = ()
    replace: tuple[Address, ...] = ()
    run: tuple[Address, ...] = ()
    destroy: bool = False
    refresh: bool = True
    deep: bool = False
    refresh_only: bool = False
    allow_missing: bool = False
    locked: bool = False
    promote_from: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for what makes no sense together."""
        if not self.refresh and (self.deep or self.refresh_only):
            raise ValueError(
                "Without refresh nothing is looked at, so there is nothing that deep or refresh-only sees."
            )
        if self.refresh_only and (self.destroy or self.replace):
            raise ValueError("Refresh-only changes nothing, so it does not go with destroy and replace.")
        if self.promote_from and (self.destroy or self.refresh_only or self.run):
            raise ValueError("A promotion brings templates, and does nothing else besides.")

    @property
    def command(self) -> str:
        """What a person types to have this done: ``apply``, ``destroy``, ``promote`` or ``run``."""
        if self.run:
            return "run"
        if self.destroy:
            return "destroy"
        return "promote" if self.promote_from else "apply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Changes, operations in an order that respects ``needs``, and what both were made from.

    ``cost`` and ``openings`` say what comes of it; they are worked out anew whenever a plan is made, and are not read
    back from a saved one.
    """

    project: str
    environment: str
    target: Target
    lineage: str
    base_serial: int
    changes: tuple[Change, ...] = ()
    operations: tuple[Operation, ...] = ()
    options: PlanOptions = field(default_factory=PlanOptions)
    variables: Mapping[str, Value] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    cost: PlanCost | None = None
    openings: tuple[Opening, ...] = ()
    version: int = PLAN_VERSION

    @property
    def is_empty(self) -> bool:
        return not self.operations

    @property
    def is_denied(self) -> bool:
        """Whether it may only be looked at: its diagnostics say which policy does not allow it."""
        return any(item.severity is Severity.ERROR for item in self.diagnostics)

    @property
    def summary(self) -> dict[str, int]:
        """Number of changes per action, only those that occur."""
        counts = Counter(change.action for change in self.changes)
        return {action.value: counts[action] for action in Action if counts[action]}

    def describe(self) -> str:
        """Deterministic text for tests: one line per change, then one per operation."""
        lines = [f"{change.action} {change.address}: {change.cause}" for change in self.changes]
        lines += [f"[{','.join(op.needs)}] -> {op}, {op.cause}" for op in self.operations]
        return "\n".join(lines)
