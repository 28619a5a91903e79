"""Every name that the package offers, as ``nexus.NAME``: what is imported here, and nothing else."""

from nexus.api.account import AsyncAccount
from nexus.api.documents import to_document
from nexus.api.errors import ApplyError, ManifestError, NexusError, StalePlanError
from nexus.api.folder import AsyncFolder
from nexus.api.formatting import format_manifests, format_text
from nexus.api.live import Whereabouts
from nexus.api.machine import home
from nexus.api.ongoing import Ongoing
from nexus.api.outputs import Json
from nexus.api.plans import read_plan, save_plan
from nexus.api.project import AsyncProject
from nexus.api.sandboxes import AsyncSandboxHandle
from nexus.api.synchronous import Account, Folder, Project, SandboxHandle, load, validate
from nexus.kinds.step_fields import Language
from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, FieldDiff, Opening, Opens, Operation, Plan, PlanOptions
from nexus.model.costs import Cost, PlanCost, Rates, SandboxCost, Size
from nexus.model.diagnostics import Diagnostic, Severity, SourceRange
from nexus.model.environments import Standing
from nexus.model.events import (
    ApplyFinished,
    ApplyStarted,
    DiagnosticRaised,
    Event,
    InterruptReceived,
    LogLine,
    OperationFinished,
    OperationProgress,
    OperationStarted,
    Outcome,
    PlanReady,
)
from nexus.model.pools import PoolStanding
from nexus.model.runs import OperationRun, Run, RunStatus, StepResult
from nexus.model.state import Commit, HistoryEntry, OutputRecord, ResourceRecord, State
from nexus.model.values import Sensitive
from nexus.planning import Alert, Difference, Drift, DriftCause, DriftReport
from nexus.providers.carrying import Carried
from nexus.providers.operating import Configured, Executed, Forks, LiveSandbox, LogEntry, Snapshot, Terminal, Usage
from nexus.stores import LockInfo, StateVersion
from nexus.workflows.applying import Applied
from nexus.workflows.carrying import Copied
from nexus.workflows.creating import Created
from nexus.workflows.formatting import Formatted, Formatting
from nexus.workflows.importing import Imported
from nexus.workflows.lifetimes import Deleted, Deletion, Moved, Stopped
from nexus.workflows.listing import Listed, SortBy
from nexus.workflows.logs import Logs
from nexus.workflows.operating import Sandbox as FoundSandbox
from nexus.workflows.operating import problem_of
from nexus.workflows.pinning import Locked
from nexus.workflows.rebuilding import Rebuilt
from nexus.workflows.runs import Listed as ListedRun
from nexus.workflows.state_editing import Edited
from nexus.workflows.state_migrating import Migrated
from nexus.workflows.status import Load, Status
from nexus.workflows.taking import PoolEmptyError, TakenSandbox

__all__ = [
    "Account",
    "Action",
    "Address",
    "Alert",
    "Applied",
    "ApplyError",
    "ApplyFinished",
    "ApplyStarted",
    "AsyncAccount",
    "AsyncFolder",
    "AsyncProject",
    "AsyncSandboxHandle",
    "Carried",
    "Change",
    "Commit",
    "Configured",
    "Copied",
    "Cost",
    "Created",
    "Deleted",
    "Deletion",
    "Diagnostic",
    "DiagnosticRaised",
    "Difference",
    "Drift",
    "DriftCause",
    "DriftReport",
    "Edited",
    "Event",
    "Executed",
    "FieldDiff",
    "Folder",
    "Forks",
    "Formatted",
    "Formatting",
    "FoundSandbox",
    "HistoryEntry",
    "Imported",
    "InterruptReceived",
    "Json",
    "Language",
    "Listed",
    "ListedRun",
    "LiveSandbox",
    "Load",
    "LockInfo",
    "Locked",
    "LogEntry",
    "LogLine",
    "Logs",
    "ManifestError",
    "Migrated",
    "Moved",
    "NexusError",
    "Ongoing",
    "Opening",
    "Opens",
    "Operation",
    "OperationFinished",
    "OperationProgress",
    "OperationRun",
    "OperationStarted",
    "Outcome",
    "OutputRecord",
    "Plan",
    "PlanCost",
    "PlanOptions",
    "PlanReady",
    "PoolEmptyError",
    "PoolStanding",
    "Project",
    "Rates",
    "Rebuilt",
    "ResourceRecord",
    "Run",
    "RunStatus",
    "SandboxCost",
    "SandboxHandle",
    "Sensitive",
    "Severity",
    "Size",
    "Snapshot",
    "SortBy",
    "SourceRange",
    "StalePlanError",
    "Standing",
    "State",
    "StateVersion",
    "Status",
    "StepResult",
    "Stopped",
    "TakenSandbox",
    "Terminal",
    "Usage",
    "Whereabouts",
    "format_manifests",
    "format_text",
    "home",
    "load",
    "problem_of",
    "read_plan",
    "save_plan",
    "to_document",
    "validate",
]
