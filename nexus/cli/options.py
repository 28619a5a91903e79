"""Options that several commands share, with one wording each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nexus.model.addresses import Address, AddressError

F = TypeVar("F", bound=Callable[..., Any])


class AddressType(click.ParamType[Address]):
    """An address such as ``sandbox.web`` or ``sandbox.worker["0"]``."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(str(value))
        except AddressError as error:
            self.fail(str(error), param, ctx)


ADDRESS = AddressType()


def environment_option(function: F) -> F:
    return click.option(
        "-e", "--environment", default="default", show_default=True, metavar="NAME", help="Environment of the project."
    )(function)


def project_options(function: F) -> F:
    """Which environment, which values of variables."""
    for option in reversed(
        (
            environment_option,
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


def selection_options(function: F) -> F:
    """Which part of the project a plan is about."""
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
        )
    ):
        function = option(function)
    return function


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
                "--parallelism", type=click.IntRange(1, 256), default=10, show_default=True, help="Operations at once."
            ),
            click.option(
                "--lock-timeout",
                default="0s",
                show_default=True,
                metavar="DURATION",
                help="How long to wait for another apply to end, such as 5m.",
            ),
        )
    ):
        function = option(function)
    return function
