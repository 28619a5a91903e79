"""The pytest plugin, as users' tests meet it: each test here runs a small suite of its own."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import nexus

pytest_plugins = ["pytester"]

MANIFEST = """\
apiVersion: nexus/v1
project: {name}
variables:
  code: {{type: integer, default: 0}}
sandboxes:
  web:
    template: base
    run_commands: ["exit ${{{{ vars.code }}}}"]
outputs:
  id: {{value: "${{{{ sandbox.web.id }}}}"}}
"""

PLUGINS = ("-p", "nexus.pytest_plugin", "-p", "pytest_asyncio.plugin")
Run = Callable[..., pytest.RunResult]


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What suites in this process import is taken away again, and native modules do not bear being imported twice."""
    import nexus.providers.e2b

    folder = tmp_path_factory.mktemp("imported")
    (folder / "nexus.yaml").write_text(MANIFEST.format(name="imported"))
    nexus.load(folder)


@pytest.fixture
def name() -> str:
    """A project's name that no other test has."""
    return f"plugin-{secrets.token_hex(4)}"


@pytest.fixture
def run(pytester: pytest.Pytester, name: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a suite beside a manifest, without plugins that it does not need."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makefile(".yaml", nexus=MANIFEST.format(name=name))
    pytester.makeini(
        "[pytest]\nnexus_target = local\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )

    def run_suite(text: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_suite=f"import pytest\n{text}")
        if "-n2" in arguments:
            return pytester.runpytest_subprocess(*PLUGINS, "-p", "xdist.plugin", *arguments)
        return pytester.runpytest_inprocess(*PLUGINS, *arguments, no_reraise_ctrlc=True)

    return run_suite


def live(name: str) -> list[str]:
    """Ids of what there is of a project, in whichever environment."""
    sandboxes = nexus.Account(target="local").list().sandboxes
    return [item.id for item in sandboxes if item.project == name]


def remove_what_is_left(result: pytest.RunResult) -> None:
    """As the summary says, one environment after the other."""
    for line in result.outlines:
        _, found, command = line.partition("to remove it: ")
        if found:
            subprocess.run(command, shell=True, check=True, cwd="/")


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
def test_a_test_has_an_environment_of_its_own_and_nothing_is_left_even_if_it_fails(
    run: Run, name: str, pytester: pytest.Pytester
) -> None:
    result = run(
        """
        seen = []

        @pytest.mark.nexus
        def test_passes(nexus_project):
            seen.append(nexus_project.output("id", str))
            assert nexus_project.exec("web", "echo hi").stdout == "hi\\n"

        def test_fails(nexus_project):
            seen.append(nexus_project.output("id", str))
            assert len(set(seen)) == 1, "two of them"

        async def test_in_an_event_loop(nexus_async_project):
            sandbox = await nexus_async_project.sandbox("web").e2b()
            assert (await sandbox.commands.run("echo hi")).stdout == "hi\\n"
        """.replace("\n        ", "\n")
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*two of them*"])
    assert live(name) == []
    assert not (pytester.path / ".nexus").exists()


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
def test_an_environment_is_shared_as_long_as_its_scope(run: Run, name: str) -> None:
    result = run(
        """
        pytestmark = pytest.mark.nexus(".", scope="module")
        ids = []

        @pytest.mark.parametrize("number", range(2))
        def test_shares(nexus_project, number):
            ids.append(nexus_project.output("id", str))
            assert len(set(ids)) == 1

        @pytest.fixture(scope="session")
        def mine(nexus_applied):
            with nexus_applied("nexus.yaml", variables={"code": 0}) as project:
                yield project

        def test_own_fixture(mine):
            assert mine.output("id", str) not in ids

        @pytest.mark.nexus(".", scope="class", variables={"code": 0})
        class TestOfAClass:
            def test_has_its_own(self, nexus_project):
                assert nexus_project.output("id", str) not in ids
        """.replace("\n        ", "\n")
    )
    result.assert_outcomes(passed=4)
    assert live(name) == []


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
def test_an_apply_that_fails_says_what_is_wrong_once_and_leaves_nothing(run: Run, name: str) -> None:
    result = run(
        """
        pytestmark = pytest.mark.nexus(variables={"code": 4}, scope="module")

        def test_first(nexus_project):
            pass

        def test_second(nexus_project):
            pass
        """.replace("\n        ", "\n"),
        "--durations=0",
        "-vv",
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["The environment can't be applied.", "*error[[]execution-error[]]*exit code 4*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")
    result.stdout.no_fnmatch_line("*During handling*")
    took = {test: float(text) for text, test in re.findall(r"([.0-9]+)s setup .*::(\w+)", result.stdout.str())}
    assert took["test_second"] < took["test_first"] / 2, "the failure is shared"
    assert live(name) == []


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
def test_an_interrupted_run_leaves_nothing(run: Run, name: str) -> None:
    result = run(
        """
        @pytest.mark.nexus(scope="session")
        def test_is_interrupted(nexus_project):
            assert nexus_project.output("id", str)
            raise KeyboardInterrupt
        """.replace("\n        ", "\n")
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert live(name) == []


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
def test_what_is_kept_is_listed_with_what_removes_it(run: Run, name: str) -> None:
    result = run("def test_it(nexus_project):\n    assert nexus_project.outputs()", "--nexus-keep")
    result.assert_outcomes(passed=1)
    (sandbox,) = live(name)
    result.stdout.fnmatch_lines([f"*project {name}, environment default-pytest-*", f"*nexus shell --local {sandbox}"])
    remove_what_is_left(result)
    assert live(name) == []
    folder = re.search(r"its state in (\S+)", result.stdout.str())
    assert folder is not None
    assert not Path(folder[1]).exists()


@pytest.mark.engine
@pytest.mark.usefixtures("on_engine")
def test_workers_of_xdist_share_nothing_and_tell_what_they_left(run: Run, name: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_other="def test_it(nexus_project):\n    print('environment', nexus_project.environment)\n    assert 0"
    )
    result = run(
        "def test_it(nexus_project):\n    print('environment', nexus_project.environment)\n    assert 0",
        "--nexus-keep",
        "-n2",
        "--dist=loadfile",
    )
    result.assert_outcomes(failed=2)
    environments = re.findall(r"^environment (\S+)$", result.stdout.str(), re.MULTILINE)
    assert {text.rpartition("-")[0] for text in environments} == {"default-pytest-gw0", "default-pytest-gw1"}
    remove_what_is_left(result)
    assert live(name) == []


def test_a_wrong_manifest_shows_the_line(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", nexus="apiVersion: nexus/v1\nproject: wrong\nsandboxes: {web: {tempalte: base}}\n")
    result = run("def test_it(nexus_project):\n    pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["The environment can't be loaded.", "error[[]unknown-field[]]*", "*nexus.yaml:3:*", " 3 | sandboxes: *"],
    )


def test_a_wrong_marker_says_so(run: Run) -> None:
    result = run(
        """
        @pytest.mark.nexus(nope=1)
        def test_field(nexus_project):
            pass

        @pytest.mark.nexus(scope="week")
        def test_scope(nexus_project):
            pass
        """.replace("\n        ", "\n")
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'nope'*", "*'week' is not a valid Scope*"])


def test_suites_that_do_not_use_the_plugin_do_not_load_nexus(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\n\ndef test_it():\n    loaded = [name for name in sys.modules if name.startswith('nexus.')]\n"
        "    assert loaded == ['nexus.pytest_plugin']\n"
    )
    result = pytester.runpytest_subprocess("-p", "nexus.pytest_plugin", "--strict-markers")
    result.assert_outcomes(passed=1)
