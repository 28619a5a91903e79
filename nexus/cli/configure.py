"""``nexus configure``: change a live sandbox, and where asked for its block in the manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import json_option, lock_timeout_option, project_options, sandbox_argument, target_options
from nexus.cli.running import load_project, on_interrupt, seconds
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncFolder, AsyncProject, Configured, Sensitive


@click.command(
    "configure",
    epilog=examples(
        "nexus configure web --env LOG_LEVEL=info --unset DEBUG --restart",
        "nexus configure web --install httpx --install apt:jq",
        "nexus configure web --no-internet --allow pypi.org",
        "nexus configure web --env LOG_LEVEL=info --write  # in the manifest, too",
    ),
)
@sandbox_argument
@click.option("--env", "env_texts", multiple=True, metavar="NAME[=VALUE]", help="Variable; without VALUE, your own.")
@click.option("--unset", multiple=True, metavar="NAME", help="Variable that is to be no more.")
@click.option(
    "--secret-env",
    "secret_texts",
    multiple=True,
    metavar="NAME=SECRET",
    help="Variable that holds a secret of the manifest.",
)
@click.option("--install", multiple=True, metavar="PACKAGE", help="Package, such as httpx, npm:typescript or apt:jq.")
@click.option("--uninstall", multiple=True, metavar="PACKAGE", help="Package to remove.")
@click.option("--run", "commands", multiple=True, metavar="COMMAND", help="Command to run once, as root.")
@click.option("--internet/--no-internet", default=None, help="Whether it may reach everything, or what is allowed.")
@click.option("--allow", multiple=True, metavar="DESTINATION", help="Address, network or domain that it may reach.")
@click.option("--deny", multiple=True, metavar="DESTINATION", help="Address or network that it may not reach.")
@click.option("--restart", is_flag=True, help="Start its start_command again, at last; resume it where it is paused.")
@click.option("--write", is_flag=True, help="Put the same into its block in the manifest.")
@project_options
@target_options
@lock_timeout_option
@json_option("what was changed")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    sandbox: str,
    env_texts: tuple[str, ...],
    unset: tuple[str, ...],
    secret_texts: tuple[str, ...],
    install: tuple[str, ...],
    uninstall: tuple[str, ...],
    commands: tuple[str, ...],
    internet: bool | None,
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    restart: bool,
    write: bool,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    lock_timeout: str,
    as_json: bool,
) -> int:
    """Change SANDBOX now: a name, name[key], an address, or an id at E2B. Options may be repeated.

    Names of packages without a prefix belong to the language of its template. What runs keeps its variables until it
    is restarted; commands, and shells that are opened from now on, see the new ones.

    The manifest does not know of it: «nexus drift» tells what differs, and «nexus apply --deep» takes it back, as far
    as its block says anything of variables, packages or the network. With --write the change is made to the block as
    well, comments and layout kept, and applied: then there is nothing left to plan, in this environment. A new command
    is run as the last of run_commands, and startup_script after it. The manifest is written once the change has
    succeeded. Values read from your own environment are never written.
    """
    variables, named = _variables(env_texts, settings.environment), _secrets(secret_texts)
    lists = (unset, install, uninstall, commands, allow, deny)
    can_be_written = bool(variables or named or internet is not None or any(lists))
    if not can_be_written and not restart:
        raise click.UsageError("Say what to change: --env, --install, --run, --restart, …")
    if write and not can_be_written:
        raise click.UsageError("A restart alone can't be written into a manifest.")
    both = {*variables, *named} & {*unset}
    if both:
        raise click.UsageError(f"{min(both)} can't be set and unset at once.")
    patience = seconds(lock_timeout)
    from nexus.render.configuring import Silence, Telling, configured_text, configured_to_json

    report = Silence() if as_json else Telling(settings.console(stderr=True))

    async def work(live: AsyncFolder | AsyncProject) -> Configured:
        return await live.sandbox(sandbox).configure(
            env_vars=variables,
            secrets=named,
            unset=unset,
            install=install,
            uninstall=uninstall,
            run_commands=commands,
            internet=internet,
            allow=allow,
            deny=deny,
            restart=restart,
            write=write,
            on_progress=report.progress,
            on_output=report.log,
            bind_interrupt=on_interrupt,
            lock_timeout=patience,
        )

    if write:
        done = on_live(load_project(settings, environment, var_texts, var_files, local=local), work)
    else:
        done = on_live(folder_of(settings, environment, local=local), work)
    if as_json:
        click.echo(json.dumps(configured_to_json(done), indent=2, ensure_ascii=False))
    else:
        click.echo(configured_text(done))
    return 0


def _variables(texts: tuple[str, ...], own: Mapping[str, str]) -> dict[str, str | Sensitive]:
    """Values that are the caller's own may be secrets."""
    from nexus.model.values import Sensitive

    found: dict[str, str | Sensitive] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals and name not in own:
            raise click.BadParameter(f"{name} has no value, and is not set here either", param_hint="--env")
        found[name] = value if equals else Sensitive(own[name])
    return found


def _secrets(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, _, secret in pairs:
        if not name or not secret:
            raise click.BadParameter("it is written NAME=SECRET", param_hint="--secret-env")
    return {name: secret for name, _, secret in pairs}
