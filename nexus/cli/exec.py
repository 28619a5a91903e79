"""``nexus exec``: run a command, or code, in a live sandbox."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.piped import piped_input
from nexus.cli.running import duration_of
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.error_codes import ErrorCode

if TYPE_CHECKING:
    from nexus import AsyncFolder, Executed, FoundSandbox
    from nexus.api.sandboxes import LanguageName

LANGUAGES = ("bash", "python", "javascript")
SUFFIXES: Mapping[str, LanguageName] = {
    ".py": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".sh": "bash",
}
_ENOUGH_TO_EXPLAIN = 64 * 1024
"""Characters of output that are remembered where it was passed on: to say what was wrong."""


@click.command(
    "exec",
    context_settings={"ignore_unknown_options": False},
    epilog=examples(
        "nexus exec web -- ls -la app  # words, run as they are",
        "nexus exec web -- 'cat *.log | wc -l'  # a line for the shell",
        "nexus exec web --language python --code 'print(6 * 7)'",
        "nexus exec web --file fit.py --timeout 5m --json",
        "nexus exec web -- sh < setup.sh  # input is handed on",
        exit_codes={0: "and all others: the command's own", 124: "its time was up (--timeout)"},
    ),
)
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
    language: LanguageName | None,
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
    was up. Several words are run as they are, a single one is a line for the sandbox's shell.

    Ctrl-C ends it in the sandbox too. Output may be of any length; --json has the beginning and the end of more than
    16 MiB.
    """
    source, chosen = _code(words, language, code, file)
    seconds = None if timeout is None else duration_of(timeout, "--timeout")
    variables = _variables(env_texts, settings.environment)

    async def work(folder: AsyncFolder) -> tuple[FoundSandbox, Executed]:
        handle = folder.sandbox(sandbox)
        return await handle.found(), await handle.exec(
            source,
            language=chosen,
            user=user,
            working_dir=workdir,
            env_vars=variables,
            stdin=piped_input(),
            timeout=seconds,
            keep=None if as_json else _ENOUGH_TO_EXPLAIN,
            on_output=None if as_json else _pass_on,
        )

    found, executed = on_live(folder_of(settings, environment, local=local), work)
    from nexus.api.sandboxes import problem_of

    problem = problem_of(executed, found)
    if as_json:
        from nexus.render.operating import execution_to_json

        document = execution_to_json(
            executed,
            problem,
            execution_id=f"exec_{secrets.token_hex(6)}",
            sandbox_id=found.id,
            address=found.address,
            language=chosen,
            env_vars_used=len(variables),
            timeout=seconds,
        )
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif problem is not None and problem.error_code is not ErrorCode.EXECUTION_ERROR:  # what failed has said so itself
        show_diagnostics(settings, [problem])
    return executed.exit_code


def _code(
    words: tuple[str, ...], language: LanguageName | None, code: str | None, file: Path | None
) -> tuple[str, LanguageName]:
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
