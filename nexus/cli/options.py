"""Options that several commands share, with one wording each."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from nexus.cli.completing import addresses, completes, environments, sandboxes
from nexus.model.addresses import Address, AddressError

_UNQUOTED_KEY: Final = re.compile(r'\[([^"\]]+)\]$')

F = TypeVar("F", bound=Callable[..., Any])


class AddressType(click.ParamType[Address]):
    """An address such as ``sandbox.web`` or ``sandbox.worker["0"]``; shells eat the quotes, so it does without them."""

    name = "address"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return completes(addresses)(ctx, param, incomplete)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(_UNQUOTED_KEY.sub(r'["\1"]', str(value)))
        except AddressError as error:
            self.fail(str(error), param, ctx)


ADDRESS = AddressType()

sandbox_argument = click.argument("sandbox", shell_complete=completes(sandboxes))


def environment_option(function: F) -> F:
    return click.option(
        "-e",
        "--environment",
        default="default",
        show_default=True,
        metavar="NAME",
        help="Environment of the project.",
        shell_complete=completes(environments),
    )(function)


def project_options(function: F) -> F:
    """Which environment, which values of variables."""
    return environment_option(variable_options(function))


def variable_options(function: F) -> F:
    """Which values of variables."""
    for option in reversed(
        (
            click.option(
                "--var", "var_texts", multiple=True, metavar="NAME=VALUE", help="Value of a variable; wins over all."
            ),
            click.option(
                "--var-file",
                "var_files",
                multiple=True,
                type=click.Path(path_type=Path),
                help="YAML or JSON file with values of variables.",
            ),
        )
    ):
        function = option(function)
    return function


def target_options(function: F) -> F:
    """Where the sandboxes live."""
    return click.option("--local", "local", is_flag=True, help="Use the embedded local engine, whatever else is set.")(
        function
    )


def selection_options(function: Callable[..., int]) -> Callable[..., int]:
    """Which part of the project a plan is about, given to ``function`` as one PlanOptions.

    Where a command has ``--destroy``, that is a part of them, too.
    """

    @functools.wraps(function)
    def gathered(
        *args: object,
        targets: tuple[Address, ...],
        excludes: tuple[Address, ...],
        replacements: tuple[Address, ...],
        no_refresh: bool,
        deep: bool,
        refresh_only: bool,
        allow_missing: bool,
        locked: bool,
        destroy: bool = False,
        **given: object,
    ) -> int:
        from nexus.api.plans import plan_options

        try:
            options = plan_options(
                targets,
                excludes,
                replacements,
                destroy=destroy,
                refresh=not no_refresh,
                deep=deep,
                refresh_only=refresh_only,
                allow_missing=allow_missing,
                locked=locked,
            )
        except ValueError as problem:
            raise click.UsageError(str(problem)) from None
        return function(*args, options=options, **given)

    asking: Callable[..., int] = gathered
    for option in reversed(
        (
            click.option("--target", "targets", multiple=True, type=ADDRESS, help="Only this, and what it depends on."),
            click.option(
                "--exclude", "excludes", multiple=True, type=ADDRESS, help="Not this, nor what depends on it."
            ),
            click.option(
                "--replace", "replacements", multiple=True, type=ADDRESS, help="Replace this, changed or not."
            ),
            click.option("--no-refresh", "no_refresh", is_flag=True, help="Believe the state instead of looking."),
            click.option(
                "--deep", is_flag=True, help="Look into sandboxes, too: files, packages, variables, processes."
            ),
            click.option(
                "--refresh-only", is_flag=True, help="Take what is out there into the state, and change nothing else."
            ),
            allow_missing_option,
            click.option(
                "--locked", is_flag=True, help="Refuse to go on without nexus.lock, and with files that differ from it."
            ),
        )
    ):
        asking = option(asking)
    return asking


def allow_missing_option(function: F) -> F:
    return click.option(
        "--allow-missing", is_flag=True, help="Believe that everything is gone, although the API key is another one."
    )(function)


def json_option(what: str) -> Callable[[F], F]:
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON.")


def verbose_option(function: F) -> F:
    return click.option("-v", "--verbose", is_flag=True, help="Fold nothing: every instance, every line of builds.")(
        function
    )


def apply_options(function: F) -> F:
    """How an apply or a destroy goes about it."""
    for option in reversed(
        (
            verbose_option,
            click.option("-y", "--auto-approve", is_flag=True, help="Do not ask."),
            click.option(
                "--parallelism",
                type=click.IntRange(1, 256),
                help="Operations at once; 10 where neither this nor the manifest's provider section says.",
            ),
            lock_timeout_option,
        )
    ):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What was said on the command line about a run that plans and applies. ``lock_timeout`` is a duration's text.

    ``parallelism`` is None where nothing was said: then the manifest's ``provider`` section decides.
    """

    environment: str
    var_texts: tuple[str, ...]
    var_files: tuple[Path, ...]
    local: bool
    auto_approve: bool
    parallelism: int | None
    lock_timeout: str
    as_json: bool
    verbose: bool


def run_options(function: Callable[..., int]) -> Callable[..., int]:
    """The options of every command that plans and applies, given to ``function`` as one :class:`RunOptions`.

    Has to be the innermost decorator; ``function`` takes Settings, the options, and then what is its own.
    """
    return environment_option(_run_options(function))


def promotion_options(function: Callable[..., int]) -> Callable[..., int]:
    """The same for a command that names two environments: ``source`` besides the one that it plans and applies."""
    target = _required_environment("--to", "environment", "Environment that gets the builds.")
    source = _required_environment("--from", "source", "Environment that has the builds.")
    return source(target(_run_options(function)))


def _required_environment(flag: str, name: str, description: str) -> Callable[[F], F]:
    return click.option(
        flag, name, required=True, metavar="NAME", help=description, shell_complete=completes(environments)
    )


def _run_options(function: Callable[..., int]) -> Callable[..., int]:
    names = [field.name for field in fields(RunOptions)]

    @functools.wraps(function)
    def gathered(settings: object, **given: Any) -> int:
        run = RunOptions(**{name: given.pop(name) for name in names})
        return function(settings, run, **given)

    return variable_options(target_options(apply_options(json_option("events, one a line,")(gathered))))


def junit_option(function: F) -> F:
    return click.option(
        "--junit",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write a JUnit report with a test case for each step, also when steps fail.",
    )(function)


def sarif_option(function: F) -> F:
    return click.option(
        "--sarif",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write errors and warnings as SARIF, for code scanning, also when there are none.",
    )(function)


def lock_timeout_option(function: F) -> F:
    return click.option(
        "--lock-timeout",
        default="0s",
        show_default=True,
        metavar="DURATION",
        help="How long to wait for another run to end, such as 5m.",
    )(function)


def yes_option(function: F) -> F:
    return click.option("-y", "--yes", is_flag=True, help="Do not ask; questions are only asked on a terminal.")(
        function
    )
