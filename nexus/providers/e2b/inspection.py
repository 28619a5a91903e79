"""The deep look: whether what was set up inside a sandbox is still there, asked in one command for each sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from packaging.version import InvalidVersion, Version

from nexus.kinds.packages import MANAGERS, package_name
from nexus.model.diagnostics import Diagnostic, Severity
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.state import ResourceRecord, State, Tree
from nexus.providers.base import ProviderError
from nexus.providers.e2b.inside import JOBS_FOLDER, ROOT, Inside
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.receipts import Receipt
from nexus.providers.e2b.sandbox.processes import MARK
from nexus.providers.e2b.sandbox.uploads import Placed, places, recorded_uploads
from nexus.providers.e2b.shell import END_MARKED
from nexus.providers.e2b.world import World

_AT_ONCE: Final = 10
_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_PIN: Final = {
    "apt": re.compile(r"=([^=]+)$"),
    "pip": re.compile(r"^[^=]*==([^=,*]+)$"),
    "npm": re.compile(r".@(\d[^@]*)$"),
}
_LIST: Final = {
    "apt": "dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\\n' 2>/dev/null | sed -n 's/^installed //p'",
    "pip": "{ pip list --format=freeze --disable-pip-version-check 2>/dev/null"
    " || python3 -m pip list --format=freeze 2>/dev/null; } | sed 's/==/ /'",
    "npm": "npm ls --global --depth=0 --parseable --long 2>/dev/null"
    " | sed -n 's/^[^:]*:\\(..*\\)@\\([^@:]*\\)\\(:.*\\)\\{0,1\\}$/\\1 \\2/p'",
}
"""By manager: a command that writes a name and a version a line."""


async def look_inside(world: World, state: State, observation: Observation) -> Observation:
    """See :meth:`nexus.providers.e2b.provider.E2BProvider.look_inside`."""
    looker = _Looker(world, state.trees)
    async with asyncio.TaskGroup() as group:
        for record in state.resources.values():
            seen = observation.records.get(record.uid)
            if seen is not None and seen.presence is Presence.RUNNING and record.setup:
                group.create_task(looker.look(record, seen))
    return replace(
        observation,
        records={**observation.records, **looker.found},
        diagnostics=(*observation.diagnostics, *looker.diagnostics),
    )


class _Looker:
    def __init__(self, world: World, trees: Mapping[str, Tree]) -> None:
        self._world = world
        self._trees = trees
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self.found: dict[str, Observed] = {}
        self.diagnostics: list[Diagnostic] = []

    async def look(self, record: ResourceRecord, seen: Observed) -> None:
        async with self._slots:
            try:
                inside = await self._world.sandboxes.open(record.id, str(record.address))
                answers = await _ask(inside, record, self._trees)
                lost = set(_lost(record, self._trees, await inside.receipt(), inside.has_env_file, answers))
            except ProviderError as problem:
                self._note(problem, record)
                return
        setup = {unit: digest for unit, digest in record.setup.items() if unit not in lost}
        self.found[record.uid] = replace(seen, facts={**seen.facts, "setup": setup})

    def _note(self, problem: ProviderError, record: ResourceRecord) -> None:
        self.diagnostics.append(
            Diagnostic(
                severity=Severity.WARNING,
                code="not-looked-into",
                summary="A sandbox could not be looked into",
                detail=f"{problem.diagnostic.summary}. {problem.diagnostic.detail}".strip(),
                hint="what is recorded of its inside is believed",
                address=str(record.address),
            )
        )


@dataclass(frozen=True, slots=True)
class _Answers:
    """Digests and modes by path; versions by name, by manager; whether the started process lives."""

    digests: Mapping[str, str]
    modes: Mapping[str, int]
    packages: Mapping[str, Mapping[str, str]]
    process: bool


async def _ask(inside: Inside, record: ResourceRecord, trees: Mapping[str, Tree]) -> _Answers:
    await inside.receipt()
    folder = f"{JOBS_FOLDER}/{new_token()}"
    paths = _files(record, trees)
    await inside.write({f"{folder}/paths": b"".join(path.encode() + b"\0" for path in paths)}, user=ROOT)
    managers = [manager for manager in MANAGERS if manager in record.setup]
    listings = "".join(f"echo '==== {manager}'; {_LIST[manager]}\n" for manager in managers)
    answer = await inside.run(
        f"trap 'rm -rf {folder}' EXIT\n{END_MARKED}\n"
        f"echo '==== digests'; xargs -0 -r sha256sum -- < {folder}/paths 2>/dev/null\n"
        f"echo '==== modes'; xargs -0 -r stat -c '%a %n' -- < {folder}/paths 2>/dev/null\n"
        f"{listings}echo '==== process'; marked {MARK}\necho '==== end'",
        user=ROOT,
        cwd="/",
    )
    parts = _parts(answer.stdout)
    return _Answers(
        digests={line[66:]: line[:64] for line in parts["digests"]},
        modes={path: int(mode, 8) for mode, path in _pairs(parts["modes"])},
        packages={manager: dict(_pairs(parts[manager])) for manager in managers},
        process=bool(parts["process"]),
    )


def _lost(
    record: ResourceRecord, trees: Mapping[str, Tree], receipt: Receipt, has_env_file: bool, answers: _Answers
) -> Iterator[str]:
    """Units whose work is not there any more, or is another."""
    if not all(_is_same(path, item, answers) for path, item in _files(record, trees).items()):
        yield "uploads"
    declared = record.attributes.get("packages")
    for manager, installed in answers.packages.items():
        names = declared.get(manager) if isinstance(declared, dict) else None
        wanted = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        if not all(is_installed(manager, name, installed) for name in wanted):
            yield manager
    if "start" in record.setup and not answers.process:
        yield "start"
    if receipt.uid == record.uid:
        if receipt.env_names and not has_env_file:
            yield "env"
        for name, entry in receipt.units.items():
            if name in record.setup and record.setup[name] != entry.digest:
                yield name


def _files(record: ResourceRecord, trees: Mapping[str, Tree]) -> dict[str, Placed]:
    if "uploads" not in record.setup:
        return {}
    return places(recorded_uploads(record), trees, strict=False)


def _is_same(path: str, item: Placed, answers: _Answers) -> bool:
    if "\n" in path or "\\" in path:  # the listings write these otherwise; such files are believed
        return True
    if answers.modes.get(path) != item.mode & 0o7777:
        return False
    # The digest of a secret file is keyed: only that the file is there can be told.
    is_secret = item.size == 0 and item.digest != _EMPTY
    return is_secret or answers.digests.get(path) == item.digest


def is_installed(manager: str, requirement: str, installed: Mapping[str, str]) -> bool:
    names = {package_name(manager, name): version for name, version in installed.items()}
    name = package_name(manager, requirement)
    pin = _PIN[manager].search(requirement)
    if "/" in name and manager != "npm":
        return True  # a URL or a path tells no name
    return name in names and (pin is None or _is_version(manager, names[name], pin[1]))


def _is_version(manager: str, version: str, wanted: str) -> bool:
    """Python knows more than one way to write a version."""
    if manager == "pip":
        try:
            return Version(version) == Version(wanted)
        except InvalidVersion:
            pass
    return version == wanted


def _parts(text: str) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {"digests": [], "modes": [], "process": [], **{manager: [] for manager in MANAGERS}}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("==== "):
            current = parts.setdefault(line[5:], [])
        else:
            current.append(line)
    return parts


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        first, separator, rest = line.partition(" ")
        if separator:
            yield first, rest
