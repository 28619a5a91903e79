"""The root command, and the one place where exceptions become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from nexus.cli.lazy import LazyGroup
from nexus.cli.manual import MANUAL
from nexus.cli.settings import Settings
from nexus.cli.version import version_option

SECTIONS = {
    "A project": {
        "init": ("nexus.cli.init", "Begin a project from one of the examples"),
        "validate": ("nexus.cli.validate", "Check the manifest, without touching a network"),
        "fmt": ("nexus.cli.fmt", "Give manifests one layout, comments kept"),
        "plan": ("nexus.cli.plan", "Show what apply would do"),
        "lock": ("nexus.cli.lock", "Write down the exact versions of everything, for everybody"),
        "apply": ("nexus.cli.apply", "Make what is out there match the manifest"),
        "reconcile": ("nexus.cli.reconcile", "Keep projects as they are written, in a folder or a Git repository"),
        "promote": ("nexus.cli.promote", "Give an environment the builds that templates have in another one"),
        "rollback": ("nexus.cli.rollback", "Apply the project's files as they were at an earlier commit"),
        "pool": ("nexus.cli.pool", "Take sandboxes that stand ready, one by one"),
        "run": ("nexus.cli.run", "Run the steps of a pipeline, with what they need"),
        "destroy": ("nexus.cli.destroy", "Delete everything the manifest made"),
    },
    "What there is": {
        "output": ("nexus.cli.output", "Show the project's outputs"),
        "show": ("nexus.cli.show", "Show the state, or a saved plan"),
        "drift": ("nexus.cli.drift", "Show what is not as it was applied"),
        "graph": ("nexus.cli.graph", "Draw the graph of the project, with what a plan does to it"),
        "history": ("nexus.cli.history", "List what made the environment what it is, commit by commit"),
        "runs": ("nexus.cli.runs", "List what was done when, and show one run in detail"),
        "env": ("nexus.cli.env", "List environments, compare them, remove those that are over"),
        "state": ("nexus.cli.state", "Look into the state, or mend it"),
        "import": ("nexus.cli.importing", "Take over a live sandbox that nexus did not make"),
    },
    "Live sandboxes": {
        "list": ("nexus.cli.list", "List sandboxes"),
        "status": ("nexus.cli.status", "Show one sandbox in detail"),
        "top": ("nexus.cli.top", "Show what sandboxes use, as it goes"),
        "exec": ("nexus.cli.exec", "Run a command or code in a sandbox"),
        "logs": ("nexus.cli.logs", "Show the logs of a sandbox"),
        "shell": ("nexus.cli.shell", "Open a terminal in a sandbox"),
        "upload": ("nexus.cli.upload", "Copy files of this machine into a sandbox"),
        "download": ("nexus.cli.download", "Copy files of a sandbox to this machine"),
        "configure": ("nexus.cli.configure", "Change a live sandbox: variables, packages, its network"),
        "stop": ("nexus.cli.stop", "Pause a sandbox; its memory and files are kept"),
        "start": ("nexus.cli.start", "Make a paused sandbox run again"),
        "extend": ("nexus.cli.extend", "Set how much longer a sandbox lives"),
        "snapshot": ("nexus.cli.snapshot", "Keep what is in a sandbox, to make others from"),
        "fork": ("nexus.cli.fork", "Make more sandboxes like one that runs"),
        "delete": ("nexus.cli.delete", "Remove sandboxes for good"),
    },
    "nexus itself": {
        "local": ("nexus.cli.local", "Start, stop and look after the local engine"),
        "mcp": ("nexus.cli.mcp", "Serve nexus' commands to agents, as tools of the Model Context Protocol"),
        "doctor": ("nexus.cli.doctor", "Say what this machine and account can do, and what mends what they can't"),
        "explain": ("nexus.cli.explain", "Explain the code of an error or a warning"),
        "completion": ("nexus.cli.completion", "Let bash, zsh or fish complete what is typed"),
        "version": ("nexus.cli.version", "Show the version, and what nexus was built from"),
    },
}

COMMANDS = {name: row for section in SECTIONS.values() for name, row in section.items()}


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    no_args_is_help=True,
    epilog=MANUAL,
)
@click.option("-C", "--chdir", type=click.Path(path_type=Path), default=None, help="Act as if started in this folder.")
@click.option("--no-color", is_flag=True, help="No colours (NO_COLOR does the same).")
@version_option
@click.pass_context
def root(context: click.Context, chdir: Path | None, no_color: bool) -> None:
    """Declare E2B sandboxes in YAML; plan, apply and destroy them, in the cloud or on the embedded local engine."""
    context.obj = Settings(environment=dict(os.environ), folder=(chdir or Path()).absolute(), no_color=no_color)


def run(arguments: Sequence[str]) -> int:
    """Run one command line. Returns the exit code; never lets a traceback out."""
    settings_free_errors = sys.stderr
    try:
        result = root.main(args=list(arguments), prog_name="nexus", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show(file=settings_free_errors)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted." if sys.stderr.isatty() else "Interrupted.", err=True)
        return 130
    except BrokenPipeError:
        # The reader went away (`nexus plan | head`): nothing more can be said, and that is no error of ours.
        from nexus.cli.piped import discard

        discard(sys.stdout)
        return 141
    except Exception as error:
        from nexus.cli.failures import report

        return report(error)
