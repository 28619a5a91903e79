"""``nexus exec``: run a command, or code, in a live sandbox."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.live import on_live
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.piped import piped_input
from nexus.cli.running import duration_of
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.providers.failures import EXECUTION_ERROR

if TYPE_CHECKING:
    from nexus.model.diagnostics import Diagnostic
    from nexus.providers.operating import Executed, Execution, Operator
    from nexus.workflows.operating import Place, Sandbox

LANGUAGES = ("bash", "python", "javascript")
SUFFIXES = {".py": "python", ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript", ".sh": "bash"}
_ENOUGH_TO_EXPLAIN = 64 * 1024
"""Characters of output that are remembered where it was passed on: to say what was wrong."""


@click.command("exec", context_settings={"ignore_unknown_options": False})
@sandbox_argument
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--language", type=click.Choice(LANGUAGES), help="What runs the code; bash, or what FILE's name says.")
@click.option("--code", help="Code to run in place of a command.")
@click.option("--file", "file", type=click.Path(path_type=Path), help="File of this machine with code to run.")
@click.option(
    "--timeout", metavar="DURATION", help="End it after this time, such as 5m. It may take for ever otherwise."
)
@click.option("--workdir", metavar="FOLDER", help="Folder of the sandbox to run in; the user's home if not said.")
@click.option("--env", "env_texts", multiple=True, metavar="NAME[=VALUE]", help="Variable; without VALUE, your own.")
@click.option("--user", metavar="USER", help="User of the sandbox to run as; the sandbox's own if not said.")
@environment_option
@target_options
@json_option("how it ended, once it has,")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    sandbox: str,
    words: tuple[str, ...],
    language: str | None,
    code: str | None,
    file: Path | None,
    timeout: str | None,
    workdir: str | None,
    env_texts: tuple[str, ...],
    user: str | None,
    environment: str,
    local: bool,
    as_json: bool,
) -> int:
    """Run COMMAND, or code, in SANDBOX: a name, name[key], an address, or an id at E2B.

    Its output comes as it is written, piped input is handed to it, and its exit code is passed on; 124 when its time
    was up. Several words are run as they are, a single one is a line for the sandbox's shell:

    \b
      nexus exec web -- ls -la app
      nexus exec web -- 'cat *.log | wc -l'
      nexus exec web --language python --code 'print(6 * 7)'

    Ctrl-C ends it in the sandbox too. Output may be of any length; --json has the beginning and the end of more than
    16 MiB.
    """
    source, chosen = _code(words, language, code, file)
    wanted = Wanted(
        code=source,
        language=chosen,
        timeout=None if timeout is None else duration_of(timeout, "--timeout"),
        workdir=workdir,
        env_vars=_variables(env_texts, settings.environment),
        user=user,
    )

    async def work(place: Place, operator: Operator) -> tuple[Sandbox, Execution, Executed]:
        from nexus.providers.operating import KEPT_OUTPUT
        from nexus.workflows.operating import execute, find_sandbox

        found = await find_sandbox(place, operator, sandbox)
        execution = wanted.execution(found.user, kept=KEPT_OUTPUT if as_json else _ENOUGH_TO_EXPLAIN)
        return found, execution, await execute(operator, found, execution, _discard if as_json else _pass_on)

    found, execution, executed = on_live(settings, environment, local=local, work=work)
    from nexus.workflows.operating import problem_of

    problem = problem_of(executed, found)
    if as_json:
        _print_document(found, execution, executed, problem)
    elif problem is not None and problem.code != EXECUTION_ERROR:  # what merely failed has said so itself
        show_diagnostics(settings, [problem])
    return executed.exit_code


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Wanted:
    """What the command line asks for. Never printed: variables may be secrets."""

    code: str
    language: str
    timeout: float | None
    workdir: str | None
    env_vars: Mapping[str, str]
    user: str | None

    def execution(self, user: str, *, kept: int) -> Execution:
        from nexus.kinds.step_fields import Language
        from nexus.providers.operating import Execution

        return Execution(
            code=self.code,
            language=Language(self.language),
            user=self.user or user,
            working_dir=self.workdir,
            env_vars=self.env_vars,
            stdin=piped_input(),
            timeout=self.timeout,
            kept=kept,
        )


def _code(words: tuple[str, ...], language: str | None, code: str | None, file: Path | None) -> tuple[str, str]:
    if sum((bool(words), code is not None, file is not None)) != 1:
        raise click.UsageError("Say what to run: a command after «--», or --code, or --file; one of them.")
    if words:
        if language not in (None, "bash"):
            raise click.UsageError("A command has no --language; that is for --code and --file.")
        return words[0] if len(words) == 1 else shlex.join(words), "bash"
    if file is not None:
        return _read(file), language or SUFFIXES.get(file.suffix, "bash")
    return code or "", language or "bash"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DiagnosticsError(
            error("file-unreadable", f"The file {file} can't be read", detail=_reason(problem))
        ) from problem


def _reason(problem: OSError | UnicodeDecodeError) -> str:
    return (problem.strerror or "") if isinstance(problem, OSError) else "It is not a text in UTF-8."


def _variables(texts: tuple[str, ...], own: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name.isidentifier() or not name.isascii():
            raise click.BadParameter(f"{name!r} is not the name of a variable", param_hint="--env")
        if not equals and name not in own:
            raise click.BadParameter(f"{name} has no value, and is not set here either", param_hint="--env")
        found[name] = value if equals else own[name]
    return found


def _pass_on(stream: str, text: str) -> None:
    out = sys.stderr if stream == "stderr" else sys.stdout
    out.write(text)
    out.flush()


def _discard(stream: str, text: str) -> None:
    """The document has it all."""


def _print_document(sandbox: Sandbox, execution: Execution, executed: Executed, problem: Diagnostic | None) -> None:
    from nexus.render.operating import execution_to_json
    from nexus.wiring import new_id

    document = execution_to_json(
        executed,
        execution,
        problem,
        execution_id=f"exec_{new_id()[:12]}",
        sandbox_id=sandbox.id,
        address=sandbox.address,
    )
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
