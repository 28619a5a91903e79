"""The face for programs that wait. Every method is that of the asynchronous face, with the same arguments and types."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from nexus.api.account import AsyncAccount, AsyncLive
from nexus.api.folder import AsyncFolder
from nexus.api.live import Target
from nexus.api.loading import findings, load_request
from nexus.api.outputs import typed_output
from nexus.api.project import AsyncProject
from nexus.api.remembered import AsyncRemembered
from nexus.api.sandboxes import AsyncSandboxHandle
from nexus.api.waiting import Synchronous, iterating, waiting
from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostic
from nexus.model.state import Commit
from nexus.planning import Difference

T = TypeVar("T")


def load(
    path: str | os.PathLike[str] = ".",
    *,
    environment: str = "default",
    variables: Mapping[str, object] | None = None,
    variable_files: Iterable[str | os.PathLike[str]] = (),
    target: Target | None = None,
    instance: str = "",
    plan: Plan | None = None,
    state_folder: str | os.PathLike[str] | None = None,
    commit: Commit | None = None,
    process: Mapping[str, str] | None = None,
) -> Project:
    """The project of a folder, or of a ``nexus.yaml``, read and checked as a whole. Touches no network.

    ``variables`` win over ``variable_files``, and those over all other sources. ``target`` is ``local`` or ``e2b``; if
    not said, it is chosen as on the command line, from the process environment and the manifest. An ``instance`` is a
    second life of the environment, with objects, names and a state of its own: what tests use. A ``plan`` out of a file
    brings its environment and the values of its variables, to be applied. The state is where the
    manifest keeps it; what it keeps in the project's folder is in ``state_folder`` instead, where that is said, and so
    is the state of an instance then. ``commit`` is for the history, where the folder's own repository does not tell it.
    ``process`` stands for the process environment, with its keys and settings. Raises ManifestError.
    """
    return Project(
        AsyncProject.load(
            path,
            environment=environment,
            variables=variables,
            variable_files=variable_files,
            target=target,
            instance=instance,
            plan=plan,
            state_folder=state_folder,
            commit=commit,
            process=process,
        )
    )


def validate(
    path: str | os.PathLike[str] = ".",
    *,
    environment: str = "default",
    variables: Mapping[str, object] | None = None,
    variable_files: Iterable[str | os.PathLike[str]] = (),
) -> tuple[Diagnostic, ...]:
    """All that is wrong with a manifest, and worth knowing of it. Errors are not raised; touches no network."""
    return findings(load_request(path, environment=environment, variables=variables, variable_files=variable_files))


class _Live:
    """The live sandboxes of whatever this is."""

    def sandbox(self: Synchronous[AsyncLive], name: str) -> SandboxHandle:
        """The sandbox that ``name`` means: in a project its name, ``name[key]`` or its address; or any id at E2B."""
        return SandboxHandle(self.asynchronous.sandbox(name))

    where = waiting(AsyncLive.where)
    identity = waiting(AsyncLive.identity)
    list = waiting(AsyncLive.list)
    usage = waiting(AsyncLive.usage)
    create = waiting(AsyncLive.create)
    find = waiting(AsyncLive.find)
    delete = waiting(AsyncLive.delete)


class _Remembered:
    """What is remembered of a project."""

    def output(self: Synchronous[AsyncRemembered], name: str, kind: type[T]) -> T:
        """One output, which is a ``kind``: bool, int, float, str, list or dict. Raises NexusError when it is not."""
        return typed_output(_Remembered.state(self), name, kind)

    outputs = waiting(AsyncRemembered.outputs)
    output_record = waiting(AsyncRemembered.output_record)
    state = waiting(AsyncRemembered.state)
    record = waiting(AsyncRemembered.record)
    history = waiting(AsyncRemembered.history)
    runs = waiting(AsyncRemembered.runs)
    run_record = waiting(AsyncRemembered.run_record)
    run_status = waiting(AsyncRemembered.run_status)
    run_log = waiting(AsyncRemembered.run_log)
    move = waiting(AsyncRemembered.move)
    forget = waiting(AsyncRemembered.forget)
    pull = waiting(AsyncRemembered.pull)
    versions = waiting(AsyncRemembered.versions)
    push = waiting(AsyncRemembered.push)
    unlock = waiting(AsyncRemembered.unlock)


class Project(_Live, _Remembered):
    """A project whose manifest is right. Made by :func:`load`.

    Each method looks at the target anew, and waits for its end. All raise NexusError when something is in the way, and
    RuntimeError where an event loop runs: there, ``asynchronous`` is what to use.
    """

    def __init__(self, asynchronous: AsyncProject) -> None:
        self._asynchronous = asynchronous

    def __repr__(self) -> str:
        return f"Project({self.name!r}, environment={self.environment!r})"

    @property
    def asynchronous(self) -> AsyncProject:
        """The same project for code in an event loop."""
        return self._asynchronous

    @property
    def name(self) -> str:
        """As in the manifest."""
        return self._asynchronous.name

    @property
    def environment(self) -> str:
        """With the name of the instance, where it is one."""
        return self._asynchronous.environment

    @property
    def folder(self) -> Path:
        """Where its ``nexus.yaml`` lies."""
        return self._asynchronous.folder

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is worth knowing of the manifest."""
        return self._asynchronous.warnings

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all that the manifest declares, such as ``sandbox.web`` and ``sandbox.worker["0"]``."""
        return self._asynchronous.addresses

    @property
    def object_count(self) -> int:
        """How many objects that comes to, with those that are made beside, such as templates of the catalogue."""
        return self._asynchronous.object_count

    def validate(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the manifest as it is on disk by now, and worth knowing of it; errors are not raised."""
        return self._asynchronous.validate()

    def at(self, revision: str | int) -> Project:
        """The same project with its files as they were at an entry of its history, or at a commit, branch or tag."""
        return Project(waiting(AsyncProject.at)(self, revision))

    def compare(self, other: Project) -> tuple[Difference, ...]:
        """What this environment and another one ask for differently, by address. Touches no network.

        Names that only tell the two apart are no difference. ``fields`` lead from this one to the ``other``.
        """
        return self._asynchronous.compare(other.asynchronous)

    def run_options(self, pipeline: str, step: str | None = None, *, force: bool = False) -> PlanOptions:
        """What ``run`` asks for, to be planned, or applied. Raises NexusError when there are no such steps."""
        return self._asynchronous.run_options(pipeline, step, force=force)

    plan = waiting(AsyncProject.plan)
    drift = waiting(AsyncProject.drift)
    picture = waiting(AsyncProject.picture)
    apply = waiting(AsyncProject.apply)
    destroy = waiting(AsyncProject.destroy)
    run = waiting(AsyncProject.run)
    promote = waiting(AsyncProject.promote)
    import_sandbox = waiting(AsyncProject.import_sandbox)
    block_for = waiting(AsyncProject.block_for)
    rebuild_state = waiting(AsyncProject.rebuild_state)
    lock = waiting(AsyncProject.lock)
    exec = waiting(AsyncProject.exec)
    take = waiting(AsyncProject.take)
    pools = waiting(AsyncProject.pools)
    end_taken = waiting(AsyncProject.end_taken)


class Folder(_Live, _Remembered):
    """The folder of a project, or any other, for what needs no valid manifest; as :class:`AsyncFolder`."""

    def __init__(
        self,
        path: str | os.PathLike[str] = ".",
        *,
        environment: str = "default",
        target: Target | None = None,
        process: Mapping[str, str] | None = None,
    ) -> None:
        self._asynchronous = AsyncFolder(path, environment=environment, target=target, process=process)

    @property
    def asynchronous(self) -> AsyncFolder:
        """The same folder for code in an event loop."""
        return self._asynchronous

    @property
    def path(self) -> Path:
        """As it was given, made absolute."""
        return self._asynchronous.path

    @property
    def environment(self) -> str:
        """Whose state and sandboxes are meant."""
        return self._asynchronous.environment

    environments = waiting(AsyncFolder.environments)
    migrate_state = waiting(AsyncFolder.migrate_state)


class Account(_Live):
    """The live sandboxes of an account, whichever project made them, and those that none did.

    ``target`` is ``local`` or ``e2b``; if not said, it is chosen from the process environment, for which ``process``
    may stand.
    """

    def __init__(self, *, target: Target | None = None, process: Mapping[str, str] | None = None) -> None:
        self._asynchronous = AsyncAccount(target=target, process=process)

    @property
    def asynchronous(self) -> AsyncAccount:
        """The same account for code in an event loop."""
        return self._asynchronous


class SandboxHandle:
    """A sandbox by name. Made by ``sandbox(name)`` of a project or an account; as :class:`AsyncSandboxHandle`."""

    def __init__(self, asynchronous: AsyncSandboxHandle) -> None:
        self._asynchronous = asynchronous

    def __repr__(self) -> str:
        return f"SandboxHandle({self.name!r})"

    @property
    def asynchronous(self) -> AsyncSandboxHandle:
        """The same sandbox for code in an event loop."""
        return self._asynchronous

    @property
    def name(self) -> str:
        """As it was asked for."""
        return self._asynchronous.name

    id = waiting(AsyncSandboxHandle.id)
    found = waiting(AsyncSandboxHandle.found)
    e2b = waiting(AsyncSandboxHandle.sync_e2b)
    exec = waiting(AsyncSandboxHandle.exec)
    logs = waiting(AsyncSandboxHandle.logs)
    follow_logs = iterating(AsyncSandboxHandle.follow_logs)
    status = waiting(AsyncSandboxHandle.status)
    url = waiting(AsyncSandboxHandle.url)
    upload = waiting(AsyncSandboxHandle.upload)
    write = waiting(AsyncSandboxHandle.write)
    download = waiting(AsyncSandboxHandle.download)
    configure = waiting(AsyncSandboxHandle.configure)
    stop = waiting(AsyncSandboxHandle.stop)
    start = waiting(AsyncSandboxHandle.start)
    extend = waiting(AsyncSandboxHandle.extend)
    delete = waiting(AsyncSandboxHandle.delete)
    snapshot = waiting(AsyncSandboxHandle.snapshot)
    fork = waiting(AsyncSandboxHandle.fork)
