"""``nexus reconcile``: a controller that keeps projects as they are written; and approvals of plans that wait."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nexus.cli.failures import guarded, report
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, target_options
from nexus.cli.running import duration_of
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus.controller import Controller, Waiting
    from nexus.controller import Settings as ControllerSettings

_OF_ONE_PROJECT: Final = (
    "environment", "var_texts", "local", "policy", "interval", "deep", "git", "branch", "tag", "path", "verify",
    "allowed_signers",
)  # fmt: skip
_INTERVAL: Final = "1m"


@click.group(
    "reconcile",
    invoke_without_command=True,
    epilog=examples(
        "nexus reconcile --local --interval 30s  # the project in this folder",
        "nexus reconcile --git https://github.com/acme/infra.git --path shop --verify",
        "nexus reconcile --config controller.yaml --listen 0.0.0.0:8460",
        "nexus reconcile --once --policy plan-only",
        exit_codes={0: "ended as it was asked to; with --once: nothing failed", 1: "an error"},
    ),
)
@click.option(
    "-f", "--config", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="What to keep: projects and environments, as in docs/controller.md.",
)  # fmt: skip
@environment_option
@click.option("--var", "var_texts", multiple=True, metavar="NAME=VALUE", help="Value of a variable; wins over all.")
@target_options
@click.option(
    "--policy", type=click.Choice(("auto", "approve", "plan-only")), default="auto", show_default=True,
    help="Apply what is planned, let it wait for approval, or only tell.",
)  # fmt: skip
@click.option("--interval", default=_INTERVAL, show_default=True, metavar="DURATION", help="How often to look.")
@click.option("--deep", is_flag=True, help="Look into sandboxes, too: files, packages, variables, processes.")
@click.option("--git", metavar="URL", help="Keep a project of this repository, instead of that in the folder.")
@click.option("--branch", metavar="NAME", help="The branch to follow; main if not said.")
@click.option("--tag", metavar="NAME", help="The tag to follow instead.")
@click.option("--path", default="", metavar="FOLDER", help="The project's folder in the repository.")
@click.option("--verify", is_flag=True, help="Take only commits, or tags, with a good signature.")
@click.option(
    "--allowed-signers", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Whose SSH signatures are good.",
)  # fmt: skip
@click.option("--listen", metavar="HOST:PORT", help="Where the page and the metrics are; 127.0.0.1:8460 if not said.")
@click.option("--no-web", is_flag=True, help="Serve neither.")
@click.option("--once", is_flag=True, help="Look once, do what is to be done, and exit; with 1 if something failed.")
@click.option(
    "--log", "log_format", type=click.Choice(("text", "json")), help="Text on a terminal and JSON else, if not said."
)
@click.pass_context
def command(context: click.Context, /, **given: Any) -> int:
    """Keep a project as it is written: plan when its files change and at each interval, and do as the policy says.

    What expired or vanished is made again. Without --config or --git it is the project in the folder. SIGTERM ends it
    once what is in flight is done; it can be killed at any instant. The page, /metrics, /healthz and /readyz are
    read-only. docs/controller.md tells more.
    """
    if context.invoked_subcommand is not None:
        return 0
    settings = context.find_object(Settings)
    assert settings is not None
    sources = {name: context.get_parameter_source(name) for name in given}
    said = {name for name, source in sources.items() if source is click.core.ParameterSource.COMMANDLINE}
    return _reconcile(settings, said=said, **given)


@guarded
def _reconcile(
    settings: Settings, *, said: set[str], config: Path | None, listen: str | None, no_web: bool, once: bool,
    log_format: str | None, **given: Any,
) -> int:  # fmt: skip
    from nexus.controller import Log, Traces, assemble, exporting, heard

    if config is not None and (beside := [name for name in _OF_ONE_PROJECT if name in said]):
        options = ", ".join(f"--{name.removesuffix('_texts').replace('_', '-')}" for name in beside)
        raise click.UsageError(f"with --config, this is said in the file: {options}.")
    wanted = _wanted(settings, config, given)
    if no_web or once:
        wanted = replace(wanted, host="", port=0)
    elif listen is not None:
        host, port = _address(listen)
        wanted = replace(wanted, host=host, port=port)
    log = Log(sys.stderr, as_json=log_format == "json" or (log_format is None and not sys.stderr.isatty()))
    with heard(log), exporting(settings.environment) as provider:

        async def work() -> int:
            controller = assemble(wanted, settings.environment, log, report, Traces(provider))
            return await (_once(controller) if once else _until_stopped(controller))

        return asyncio.run(work())


def _address(text: str) -> tuple[str, int]:
    from nexus.controller import parse_address

    try:
        return parse_address(text)
    except ValueError as problem:
        raise click.BadParameter(str(problem), param_hint="--listen") from problem


async def _once(controller: Controller) -> int:
    from nexus.controller import Phase

    board = await controller.once()
    return 1 if any(item.phase is Phase.FAILED or item.source_problems for item in board.all) else 0


async def _until_stopped(controller: Controller) -> int:
    from nexus.cli.running import on_interrupt

    on_interrupt(controller.stop)
    await controller.run()
    on_interrupt(None)
    return 0


def _wanted(settings: Settings, config: Path | None, given: dict[str, Any]) -> ControllerSettings:
    from nexus.controller import read_settings

    if config is not None:
        return read_settings(config if config.is_absolute() else Path.cwd() / config, settings.environment)
    return _one_project(settings, **given)


def _one_project(
    settings: Settings,
    *,
    environment: str,
    var_texts: tuple[str, ...],
    local: bool,
    policy: str,
    interval: str,
    deep: bool,
    git: str | None,
    branch: str | None,
    tag: str | None,
    path: str,
    verify: bool,
    allowed_signers: Path | None,
) -> ControllerSettings:
    """What the options say of a single project."""
    from nexus import controller
    from nexus.cli.running import assignments

    place: Path | controller.GitPlace
    if git is None:
        if branch or tag or path or verify or allowed_signers:
            raise click.UsageError("--branch, --tag, --path, --verify and --allowed-signers go with --git.")
        name, place = controller.folder_of_project(settings.folder)
    else:
        if branch and tag:
            raise click.UsageError("--branch and --tag exclude each other.")
        place = controller.GitPlace(
            url=git,
            branch="" if tag else branch or "main",
            tag=tag or "",
            path=path,
            verify=verify,
            allowed_signers=None if allowed_signers is None else allowed_signers.absolute(),
        )
        name = controller.name_of_repository(place)
    kept = controller.EnvironmentSettings(
        key=controller.Key(name, environment),
        policy=controller.Policy(policy),
        interval=duration_of(interval, "--interval"),
        variables=dict(assignments(var_texts)),
        target="local" if local else None,
        deep=deep,
    )
    return controller.Settings(projects=(controller.ProjectSettings(name=name, place=place, environments=(kept,)),))


@command.command(
    "approve",
    epilog=examples(
        "nexus reconcile approve shop -e prod",
        "nexus -C infra reconcile approve -e prod  # on any machine",
        "nexus reconcile approve --digest 41d0b8c2a7f3  # as the page tells it",
        exit_codes={0: "approved", 1: "not approved, or an error"},
    ),
)
@click.argument("project", required=False, metavar="[PROJECT]")
@click.option("-e", "--environment", metavar="NAME", help="Which environment, where plans of several wait.")
@click.option("--digest", metavar="DIGEST", help="Approve exactly this plan, without a question.")
@click.pass_obj
@guarded
def approve(settings: Settings, project: str | None, environment: str | None, digest: str | None) -> int:
    """Let the controller apply a plan that waits.

    Shows it, and asks. Where the state is on a server, it waits beside the state, and is approved in the project's
    folder on any machine that can reach that; else on the controller's machine, with the same NEXUS_HOME. An approval
    is for one plan: if anything else would be done by the time it is applied, nothing is, and the new plan waits.
    --digest, as the log, the page and webhooks tell it, approves without a question.
    """
    from nexus.controller import Places, find_waiting

    places = Places(settings.environment)
    approvals, waiting = asyncio.run(find_waiting(places, settings.folder, project, environment, digest))
    _show(settings, waiting)
    if digest is None:
        from nexus.cli.applying import confirm

        _require_a_person(waiting)
        if not confirm("Let the controller do this?"):
            click.echo("Nothing was approved.", err=True)
            return 1
    asyncio.run(approvals.approve(waiting, places.approver()))
    click.echo(f"Approved: {waiting.key}, plan {waiting.short}. The controller applies it now.", err=True)
    return 0


def _require_a_person(waiting: Waiting) -> None:
    from nexus.model.diagnostics import DiagnosticsError, error

    if not sys.stdin.isatty():
        raise DiagnosticsError(
            error(
                "not-approved",
                "Nobody is there to approve this",
                detail="Questions are only asked on a terminal.",
                hint=f"name the plan that you have seen: --digest {waiting.short}",
            )
        )


def _show(settings: Settings, waiting: Waiting) -> None:
    from nexus.render.plan import print_plan

    click.echo(f"{waiting.key}, plan {waiting.short}:", err=True)
    console = settings.console()
    print_plan(console, waiting.plan)
    for line in waiting.consequences:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
