"""What a shell offers while somebody types: names of the project, as its state and its manifest tell them.

Nothing is asked of a network, and what can't be read offers nothing: no message may get into a line that is typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from nexus.manifest import Manifest
    from nexus.model.state import State

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Offer = Callable[[click.Context], "Iterable[str] | Mapping[str, str]"]

_TYPEABLE: Final = re.compile(r"[A-Za-z0-9_.:@/+-]+(\[[A-Za-z0-9_.:@/+-]+\])?")
"""What no shell needs quotes for, but for brackets, which shells only look at where files are called so."""


def completes(offer: Offer) -> Complete:
    """What a parameter of click asks while its value is typed: those of ``offer`` that begin with it."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            offered = offer(context)
        except Exception:  # whatever it is, the command itself will tell
            return []
        helps = offered if isinstance(offered, Mapping) else dict.fromkeys(offered, "")
        return [
            CompletionItem(name, help=text or None)
            for name, text in sorted(helps.items())
            if name.startswith(incomplete) and _TYPEABLE.fullmatch(name)
        ]

    return complete


def sandboxes(context: click.Context) -> Mapping[str, str]:
    """Names of the sandboxes that the state knows, with their ids."""
    state = _state(context)
    return {address.short: item.id for address, item in state.resources.items() if address.kind == "sandbox"}


def addresses(context: click.Context) -> Iterable[str]:
    """Of the manifest's blocks and of what the state knows, keys without quotes."""
    read, state = _manifest(context), _state(context)
    kinds = {"volume": "volumes", "template": "templates", "sandbox": "sandboxes"}
    declared = [f"{kind}.{name}" for kind, section in kinds.items() for name in read.section(section)]
    steps = [f"step.{pipeline}.{step}" for pipeline in read.section("pipelines") for step in _steps(read, pipeline)]
    known = [str(address).replace('"', "") for address in state.resources]
    return dict.fromkeys([*declared, *steps, *known])


def pools(context: click.Context) -> Iterable[str]:
    """Of the manifest's blocks, by their names."""
    blocks = _manifest(context).section("sandboxes")
    return [name for name, block in blocks.items() if isinstance(block, dict) and "pool" in block]


def environments(context: click.Context) -> Iterable[str]:
    from nexus.manifest import declared_environments

    return declared_environments(_manifest(context))


def pipelines(context: click.Context) -> Iterable[str]:
    return list(_manifest(context).section("pipelines"))


def steps(context: click.Context) -> Iterable[str]:
    """Of the pipeline that was typed before."""
    return _steps(_manifest(context), str(context.params.get("pipeline")))


def outputs(context: click.Context) -> Iterable[str]:
    return list(_state(context).outputs)


def codes(_context: click.Context) -> Mapping[str, str]:
    """Of errors and warnings."""
    from nexus.render.explanations import explanations

    return {item.code: item.first_sentence for item in explanations()}


def _steps(read: Manifest, pipeline: str) -> list[str]:
    block = read.section("pipelines").get(pipeline)
    found = block.get("steps") if isinstance(block, dict) else None
    return list(found) if isinstance(found, dict) else []


def _manifest(context: click.Context) -> Manifest:
    from nexus import manifest

    return manifest.read(_folder(context))


def _state(context: click.Context) -> State:
    import asyncio

    from nexus.api.folder import AsyncFolder

    environment = str(context.params.get("environment") or "default")
    return asyncio.run(AsyncFolder(_folder(context), environment=environment).state())


def _folder(context: click.Context) -> Path:
    chdir = context.find_root().params.get("chdir")
    return chdir.absolute() if isinstance(chdir, Path) else Path.cwd()
