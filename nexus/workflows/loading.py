"""From a folder to a project: all that can be known, and all that is wrong, before any network is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nexus import graph, manifest, policy, schema
from nexus.graph import DesiredGraph, Inputs
from nexus.kinds.durations import parse_duration
from nexus.kinds.registry import KINDS
from nexus.manifest import Manifest, ProjectFiles
from nexus.model.changes import PlanOptions
from nexus.model.diagnostics import Diagnostic, Diagnostics
from nexus.model.lockfile import Lockfile
from nexus.model.state import Commit
from nexus.model.values import Value
from nexus.policy import Rule
from nexus.stores import last_place


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What to load: a folder (or the path of a nexus.yaml), an environment, and where variables get their values.

    ``texts`` stand for what is in files of the manifest: to see what an edit would come to. ``commit`` is that of the
    files, where the folder's own repository does not tell it, and ``revision`` what who goes back to it calls it.

    ``settled`` are values that are fixed already, those of a saved plan: then nothing else is asked for them. An
    ``instance`` is a second life of the environment: the same values, with objects, names and a state of its own.
    """

    path: Path
    environment: str = manifest.DEFAULT_ENVIRONMENT
    instance: str = ""
    process: Mapping[str, str] = field(default_factory=dict)
    variable_files: tuple[Path, ...] = ()
    assignments: tuple[str, ...] = ()
    settled: Mapping[str, Value] | None = None
    commit: Commit | None = None
    revision: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A manifest without errors, and the graph it asks for. ``diagnostics`` are warnings.

    ``environment`` is what objects and the state are called by, ``base_environment`` the one that the manifest
    declares: they differ for branches of one. ``lock`` is its lock file, None where it has none. ``policies`` are the
    rules that hold in this environment.
    """

    root: Path
    name: str
    environment: str
    base_environment: str
    manifest: Manifest
    variables: Mapping[str, Value]
    process: Mapping[str, str]
    files: ProjectFiles
    desired: DesiredGraph
    lock: Lockfile | None = None
    commit: Commit | None = None
    revision: str = ""
    policies: tuple[Rule, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    def command(self, options: PlanOptions) -> str:
        """What a person types to have this done with these files: ``apply``, ``destroy``, ``rollback v1.4`` …"""
        is_rollback = self.revision and options.command == "apply"
        return f"rollback {self.revision}" if is_rollback else options.command

    @property
    def ttl(self) -> int | None:
        """How many seconds the environment is wanted after its last apply; None for as long as it is there."""
        return ttl_of(self.manifest)

    @property
    def provider_settings(self) -> Mapping[str, object]:
        """The section ``provider`` as written."""
        section = self.manifest.values.get("provider")
        return section if isinstance(section, dict) else {}


def ttl_of(read: Manifest) -> int | None:
    """What the key ``ttl`` says, in seconds; None where it says nothing, or nothing that makes sense."""
    try:
        return parse_duration(str(read.values["ttl"])) if "ttl" in read.values else None
    except ValueError:
        return None


def load(request: LoadRequest) -> Project:
    """Read, check and expand a project. Raises DiagnosticsError with everything that is wrong at once."""
    if not request.instance:
        request = _with_branch(request)
    return expand(manifest.read(request.path, request.texts, environment=request.environment), request)


def _with_branch(request: LoadRequest) -> LoadRequest:
    """The same where the whole name of a branch is given, as plans and live sandboxes have it: preview-login.

    Only of one that is there: another name is a slip, and must not make a new environment.
    """
    read = manifest.read(request.path)
    found = manifest.environment_called(request.environment, manifest.declared_environments(read))
    if not found.branch or (request.settled is None and last_place(read.root, found.name) is None):
        return request
    return replace(request, environment=found.base, instance=found.branch)


def expand(read: Manifest, request: LoadRequest) -> Project:
    """Check and expand a manifest, wherever it comes from. Raises DiagnosticsError likewise."""
    found = Diagnostics(list(read.diagnostics))
    variables = _variables(read, request, found)
    is_sound = not found.has_errors
    found.extend(schema.check(read))
    if not is_sound:  # references in a text that was not read whole would only mislead
        found.raise_if_errors()
    files = ProjectFiles(read.root)
    desired = graph.build(
        Inputs(
            values=read.values,
            places=read.places,
            kinds=KINDS,
            files=files,
            variables=variables,
            secrets=tuple(read.section("secrets")),
            environment=request.process,
        )
    )
    policies, problems = policy.read_policies(
        read.section(policy.SECTION),
        policy.Known(
            environment=request.environment,
            environments=manifest.declared_environments(read),
            places=read.places,
            variables=variables,
            process=request.process,
            files=files,
        ),
    )
    told = {item.range for item in found}
    later = (*desired.diagnostics, *problems)
    found.extend(item for item in later if item.range is None or item.range not in told)
    found.raise_if_errors()
    return Project(
        root=read.root,
        name=read.project,
        environment=f"{request.environment}-{request.instance}" if request.instance else request.environment,
        base_environment=request.environment,
        manifest=read,
        variables=variables,
        process=request.process,
        files=files,
        desired=desired,
        lock=manifest.read_lock(read.root),
        commit=request.commit,
        revision=request.revision,
        policies=policies,
        diagnostics=found.sorted(),
    )


def _variables(read: Manifest, request: LoadRequest, found: Diagnostics) -> Mapping[str, Value]:
    if request.settled is not None:
        return request.settled
    variables, problems = manifest.resolve_variables(
        read,
        request.environment,
        process=request.process,
        files=request.variable_files,
        assignments=request.assignments,
    )
    found.extend(problems)
    return variables
