"""The pytest plugin: a test asks for an applied environment, gets it, and nothing is left of it afterwards.

pytest finds it by itself where nexus is installed. The fixture ``nexus_project`` applies what the marker
``@pytest.mark.nexus(…)`` or the ini options say; ``nexus_applied`` is for fixtures of one's own. Every environment is
an instance of its own with its state in a temporary folder, so that tests, workers of xdist and the user's own
``.nexus`` never meet. nexus itself is imported when a test first asks for it.
"""

from __future__ import annotations

import json
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, assert_never

import pytest

if TYPE_CHECKING:
    from nexus import AsyncProject, Project
    from nexus.api.live import Target
    from nexus.model.diagnostics import DiagnosticsError

_TARGETS: Final = ("local", "e2b")


class Scope(StrEnum):
    """How long an environment lives: as long as what pytest calls so."""

    FUNCTION = "function"
    CLASS = "class"
    MODULE = "module"
    SESSION = "session"


class Apply(Protocol):
    """What the fixture ``nexus_applied`` gives: :meth:`Environments.applied`."""

    def __call__(
        self,
        path: str | Path | None = None,
        *,
        environment: str = "default",
        variables: Mapping[str, object] | None = None,
        target: Target | None = None,
    ) -> AbstractContextManager[Project]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An environment that a test wants. ``path`` is absolute; ``target`` None leaves the choice to nexus."""

    path: Path
    environment: str = "default"
    variables: Mapping[str, object] = field(default_factory=dict)
    target: Target | None = None

    @property
    def key(self) -> str:
        """The same for all that may share one."""
        return json.dumps([str(self.path), self.environment, self.variables, self.target], sort_keys=True, default=repr)

    def load(self, instance: str, state_folder: Path) -> Project:
        import nexus

        return nexus.load(
            self.path,
            environment=self.environment,
            variables=self.variables,
            target=self.target,
            instance=instance,
            state_folder=state_folder,
        )

    def removal(self, instance: str, state_folder: Path) -> str:
        """A line for a shell that takes down what was applied for this, and forgets it."""
        given: dict[str, object] = {"instance": instance, "state_folder": str(state_folder)}
        if self.environment != "default":
            given["environment"] = self.environment
        if self.variables:
            given["variables"] = dict(self.variables)
        if self.target:
            given["target"] = self.target
        arguments = ", ".join([repr(str(self.path)), *(f"{name}={value!r}" for name, value in given.items())])
        program = f"import nexus; nexus.load({arguments}).destroy()"
        return f"{sys.executable} -c {shlex.quote(program)} && rm -r {shlex.quote(str(state_folder))}"


# ---- what pytest calls


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("nexus", "environments of E2B sandboxes")
    group.addoption("--nexus-keep", action="store_true", help="Keep environments after their tests, to look into them.")
    group.addoption("--nexus-target", choices=_TARGETS, help="Where environments live, whatever tests say.")
    parser.addini("nexus_manifest", "Folder (or nexus.yaml) that tests use if they name none, relative to this file.")
    parser.addini("nexus_target", "Where environments live if tests do not say: local or e2b.")
    parser.addini(
        "nexus_scope", "How long an environment lives: function, class, module or session.", default="function"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "nexus(path, *, environment='default', variables=None, target=None, scope=None): "
        "the environment that nexus_project applies; path is relative to the test's file.",
    )
    config.stash[_ENVIRONMENTS] = Environments(config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist tells its controller what is left, after all has been torn down."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["nexus_left"] = session.config.stash[_ENVIRONMENTS].left


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """The controller of xdist hears what a worker has left."""
    output: Mapping[str, object] = getattr(node, "workeroutput", {})
    left, config = output.get("nexus_left"), getattr(node, "config", None)
    if isinstance(left, list) and isinstance(config, pytest.Config):
        config.stash[_ENVIRONMENTS].left.extend(left)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left = config.stash[_ENVIRONMENTS].left
    if left:
        terminalreporter.section("environments that nexus left")
        for text in left:
            terminalreporter.write_line(text)


# ---- fixtures


@pytest.fixture(scope="session")
def nexus_applied(pytestconfig: pytest.Config) -> Apply:
    """``with nexus_applied("path/of/project", variables={…}) as project:`` for fixtures of any scope.

    A path is relative to pytest's root folder; without one it is the ini option ``nexus_manifest``.
    """
    return pytestconfig.stash[_ENVIRONMENTS].applied


@pytest.fixture
def nexus_project(request: pytest.FixtureRequest) -> Project:
    """The project of the marker ``nexus``, applied; it is destroyed when its scope ends, whatever becomes of tests."""
    environments = request.config.stash[_ENVIRONMENTS]
    wish = _wish(request.node)
    marked = wish.marked
    wanted = environments.wanted(wish.path, marked.environment, marked.variables, marked.target)
    owner = _owner(request.node, wish.scope)
    shared = owner.stash.setdefault(_SHARED, {})
    if wanted.key not in shared:
        shared[wanted.key] = _Shared(environments.of(wanted), owner.addfinalizer)
    return shared[wanted.key].project()


@pytest.fixture
def nexus_async_project(nexus_project: Project) -> AsyncProject:
    """The same as ``nexus_project`` for tests in an event loop."""
    return nexus_project.asynchronous


@dataclass(frozen=True, slots=True)
class Marked:
    """The arguments of ``@pytest.mark.nexus``."""

    path: str | Path | None = None
    _: KW_ONLY
    environment: str = "default"
    variables: Mapping[str, object] = field(default_factory=dict)
    target: Target | None = None
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a test wants, and for how long."""

    marked: Marked
    path: Path | None
    scope: Scope


def _wish(item: pytest.Item) -> Wish:
    """What the nearest marker of a test says, over what the ini options say."""
    marker = item.get_closest_marker("nexus")
    try:
        marked = Marked() if marker is None else Marked(*marker.args, **marker.kwargs)
        scope = Scope(marked.scope or str(item.config.getini("nexus_scope")))
    except (TypeError, ValueError) as problem:
        raise pytest.fail.Exception(f"@pytest.mark.nexus: {problem}", pytrace=False) from None
    path = None if marked.path is None else item.path.parent / marked.path
    return Wish(marked=marked, path=path, scope=scope)


def _owner(item: pytest.Item, scope: Scope) -> pytest.Item | pytest.Collector:
    """The node whose end is the end of the scope; outside of a class its scope is the module's, as pytest has it."""
    match scope:
        case Scope.FUNCTION:
            return item
        case Scope.CLASS:
            return item.getparent(pytest.Class) or _owner(item, Scope.MODULE)
        case Scope.MODULE:
            return item.getparent(pytest.Module) or item
        case Scope.SESSION:
            return item.session
        case _:
            assert_never(scope)


class _Shared:
    """An environment that is applied when the first test asks, and shared by all in its scope: a failure, too."""

    def __init__(
        self, context: AbstractContextManager[Project], at_end: Callable[[Callable[[], object]], None]
    ) -> None:
        self._context = context
        self._at_end = at_end
        self._project: Project | None = None
        self._failure: BaseException | None = None

    def project(self) -> Project:
        if self._failure is not None:
            raise self._failure
        if self._project is None:
            try:
                self._project = self._context.__enter__()
            except pytest.fail.Exception as failure:
                self._failure = failure
                raise
            self._at_end(lambda: self._context.__exit__(None, None, None))
        return self._project


class Environments:
    """All environments of one pytest process. ``left`` tells, for people, what is still there at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.left: list[str] = []

    def applied(
        self,
        path: str | Path | None = None,
        *,
        environment: str = "default",
        variables: Mapping[str, object] | None = None,
        target: Target | None = None,
    ) -> AbstractContextManager[Project]:
        """An applied environment for as long as the block runs. Fails the test, with what is wrong, if it can't be."""
        wanted_path = None if path is None else self._config.rootpath / path
        return self.of(self.wanted(wanted_path, environment, variables or {}, target))

    def wanted(
        self, path: Path | None, environment: str, variables: Mapping[str, object], target: Target | None
    ) -> Wanted:
        """With what the command line and the ini file say besides."""
        base = self._config.inipath.parent if self._config.inipath is not None else self._config.rootpath
        chosen = self._config.getoption("nexus_target") or target or self._config.getini("nexus_target") or None
        return Wanted(
            path=(path or base / str(self._config.getini("nexus_manifest") or ".")).resolve(),
            environment=environment,
            variables=variables,
            target=chosen,
        )

    @contextmanager
    def of(self, wanted: Wanted) -> Iterator[Project]:
        """Apply, hand out, destroy."""
        from nexus import NexusError

        instance = f"pytest-{self._worker}{secrets.token_hex(4)}"
        state_folder = Path(tempfile.mkdtemp(prefix="nexus-pytest-"))
        try:
            project = wanted.load(instance, state_folder)
        except NexusError as problem:
            shutil.rmtree(state_folder, ignore_errors=True)
            raise _failure("The environment can't be loaded", wanted.path, problem) from None
        try:
            try:
                project.apply()
            except NexusError as problem:
                raise _failure("The environment can't be applied", project.folder, problem) from None
            yield project
        finally:
            if self._config.getoption("nexus_keep"):
                self._note(project, wanted, instance, state_folder)
            else:
                self._destroy(project, wanted, instance, state_folder)

    def _destroy(self, project: Project, wanted: Wanted, instance: str, state_folder: Path) -> None:
        """Whatever keeps it from being taken down, an interrupt too, what is left is told at the end."""
        from nexus import NexusError

        failure: BaseException | None = None
        try:
            project.destroy()
        except NexusError as problem:
            failure = _failure("The environment can't be destroyed", project.folder, problem)
        finally:
            if project.state().is_empty:
                shutil.rmtree(state_folder, ignore_errors=True)
            else:
                self._note(project, wanted, instance, state_folder)
        if failure is not None:
            raise failure

    def _note(self, project: Project, wanted: Wanted, instance: str, state_folder: Path) -> None:
        """Remember what is still there, and how it is looked into and removed."""
        local = " --local" if wanted.target == "local" else ""
        lines = [f"project {project.name}, environment {project.environment}, its state in {state_folder}"]
        for address, record in project.state().resources.items():
            if address.kind == "sandbox":
                lines.append(f"  {address}: nexus shell{local} {record.id}")
        lines.append(f"  to remove it: {wanted.removal(instance, state_folder)}")
        self.left.append("\n".join(lines))

    @property
    def _worker(self) -> str:
        """The name of this worker of xdist, to tell environments apart at a glance."""
        worker: Mapping[str, str] = getattr(self._config, "workerinput", {})
        return f"{worker['workerid']}-" if "workerid" in worker else ""


def _failure(summary: str, place: Path, problem: DiagnosticsError) -> BaseException:
    """What fails a test with what is wrong, as the command line would say it, in place of a traceback."""
    from nexus.render.diagnostics import diagnostic_text

    folder = place if place.is_dir() else place.parent

    def read(name: str) -> Sequence[str] | None:
        try:
            return (folder / name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return None

    texts = (diagnostic_text(item, read).plain.rstrip() for item in problem.diagnostics)
    return pytest.fail.Exception("\n".join([f"{summary}.", *texts]), pytrace=False)


_ENVIRONMENTS: Final = pytest.StashKey[Environments]()
_SHARED: Final = pytest.StashKey[dict[str, _Shared]]()
