"""A look at everything the engine has kept, before it acts on any of it.

What cannot be read is refused by name: an engine that went on without a record would take the sandbox, the template or
the volume that it stands for as gone, and clear it away.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nexus.local.documents import read_document
from nexus.local.settings import FORMAT, Settings, SettingsError


def check_home(settings: Settings) -> None:
    """Raises SettingsError with every document that is damaged or of a newer nexus, and what to do."""
    problems = [problem for path in _documents(settings) if (problem := _problem(path))]
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems)
        raise SettingsError(
            f"the engine in {settings.home} has files that this nexus cannot read, and does not start without them:\n"
            f"{shown}\n"
            "Upgrade nexus if they are of a newer one. Otherwise bring them back from a copy, or remove them, and so "
            "give up what they stand for."
        )


def _documents(settings: Settings) -> Iterator[Path]:
    # Below the folder of volumes lies what sandboxes wrote. Hidden files are half written, and cleared away later.
    found = [*settings.records.glob("**/*.json"), *settings.volumes.glob("*.json")]
    yield from sorted(path for path in found if not path.name.startswith("."))


def _problem(path: Path) -> str | None:
    try:
        document = read_document(path)
    except ValueError as error:
        return str(error)
    match document:
        case {"format": int(found)} if found > FORMAT:
            return f"{path} has format {found}, of a newer nexus"
        case {"format": found} if not isinstance(found, int):
            return f"{path} has an unknown format"
        case _:
            return None
