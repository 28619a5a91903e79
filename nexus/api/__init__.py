"""nexus for Python programs: load a project, plan, apply, destroy, and work with the sandboxes that it made.

The same use cases as the command line's, with a face for programs that wait (:class:`Project`) and one for those with
an event loop (:class:`AsyncProject`). It decides nothing and prints nothing. Names are offered as ``nexus.NAME``.
"""

from nexus.api.account import AsyncAccount
from nexus.api.documents import to_document
from nexus.api.errors import ApplyError, ManifestError, NexusError, StalePlanError
from nexus.api.ongoing import Ongoing
from nexus.api.outputs import Json
from nexus.api.plans import read_plan, save_plan
from nexus.api.project import AsyncProject
from nexus.api.sandboxes import AsyncSandboxHandle
from nexus.api.synchronous import Account, Project, SandboxHandle, load, validate
from nexus.kinds.step_fields import Language
from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, FieldDiff, Operation, Plan
from nexus.model.diagnostics import Diagnostic, Severity, SourceRange
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
from nexus.model.runs import OperationRun, Run, RunStatus, StepResult
from nexus.model.state import ResourceRecord, State
from nexus.planning import Alert, Drift, DriftCause, DriftReport
from nexus.providers.carrying import Carried
from nexus.providers.operating import Configured, Executed, Forks, LiveSandbox, LogEntry, Snapshot, Usage
from nexus.stores import LockInfo
from nexus.workflows.applying import Applied
from nexus.workflows.carrying import Copied
from nexus.workflows.importing import Imported
from nexus.workflows.lifetimes import Deleted, Deletion, Moved, Stopped
from nexus.workflows.listing import Listed, SortBy
from nexus.workflows.logs import Logs
from nexus.workflows.rebuilding import Rebuilt
from nexus.workflows.runs import Listed as ListedRun
from nexus.workflows.state_editing import Edited
from nexus.workflows.status import Load, Status

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
    "AsyncProject",
    "AsyncSandboxHandle",
    "Carried",
    "Change",
    "Configured",
    "Copied",
    "Deleted",
    "Deletion",
    "Diagnostic",
    "DiagnosticRaised",
    "Drift",
    "DriftCause",
    "DriftReport",
    "Edited",
    "Event",
    "Executed",
    "FieldDiff",
    "Forks",
    "Imported",
    "InterruptReceived",
    "Json",
    "Language",
    "Listed",
    "ListedRun",
    "LiveSandbox",
    "Load",
    "LockInfo",
    "LogEntry",
    "LogLine",
    "Logs",
    "ManifestError",
    "Moved",
    "NexusError",
    "Ongoing",
    "Operation",
    "OperationFinished",
    "OperationProgress",
    "OperationRun",
    "OperationStarted",
    "Outcome",
    "Plan",
    "PlanReady",
    "Project",
    "Rebuilt",
    "ResourceRecord",
    "Run",
    "RunStatus",
    "SandboxHandle",
    "Severity",
    "Snapshot",
    "SortBy",
    "SourceRange",
    "StalePlanError",
    "State",
    "Status",
    "StepResult",
    "Stopped",
    "Usage",
    "load",
    "read_plan",
    "save_plan",
    "to_document",
    "validate",
]
