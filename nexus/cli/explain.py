"""``nexus explain``: what a code of an error or a warning means, offline."""

from __future__ import annotations

import click

from nexus.cli.completing import codes, completes
from nexus.cli.failures import guarded
from nexus.cli.manual import examples
from nexus.cli.settings import Settings


@click.command(
    "explain",
    epilog=examples(
        "nexus explain  # all codes",
        "nexus explain unknown-field",
    ),
)
@click.argument("code", required=False, shell_complete=completes(codes))
@click.pass_obj
@guarded
def command(settings: Settings, code: str | None) -> int:
    """Explain CODE, the word in brackets of an error or a warning: what it means, an example, how to mend it.

    Without CODE, list all codes. Both unknown-field and UNKNOWN_FIELD will do.
    """
    from nexus.render.explanations import explanation_of, print_explanation, print_index

    if code is None:
        print_index(settings.console())
    else:
        print_explanation(settings.console(), explanation_of(code))
    return 0
