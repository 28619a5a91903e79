"""The deep look: whether what was set up inside a sandbox is still there, asked in one command for each sandbox.

What the list of sandboxes does not tell, such as the rules of their networks, is looked at on the way.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from e2b.api.client.api.sandboxes import get_sandboxes_metrics
from e2b.api.client.models import SandboxesWithMetrics, SandboxMetric
from e2b.sandbox.sandbox_api import SandboxNetworkInfo
from packaging.version import InvalidVersion, Version

from nexus.kinds.network import EVERYTHING
from nexus.kinds.packages import MANAGERS, package_name
from nexus.model.diagnostics import Diagnostic, Severity
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.state import LOST, ResourceRecord, State, Tree
from nexus.model.values import Value
from nexus.providers.base import ProviderError
from nexus.providers.e2b import errors
from nexus.providers.e2b.inside import ENV_FILE, JOBS_FOLDER, ROOT, Inside
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.receipts import Receipt
from nexus.providers.e2b.rest import answer
from nexus.providers.e2b.sandbox.environment import ENV_SUM
from nexus.providers.e2b.sandbox.processes import MARK
from nexus.providers.e2b.sandbox.uploads import Placed, places, recorded_uploads
from nexus.providers.e2b.shell import END_MARKED
from nexus.providers.e2b.world import World
from nexus.providers.operating import Usage

_AT_ONCE: Final = 10
_PAGE: Final = 100
_UNRECEIPTED: Final = frozenset({"env", "ready"})
"""Units that no receipt tells of: variables travel with a create, and readiness is only waited for."""

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
    """See :meth:`nexus.providers.base.Provider.look_inside`."""
    looker = _Looker(world, state.trees)
    async with asyncio.TaskGroup() as group:
        for record in state.resources.values():
            seen = observation.records.get(record.uid)
            if seen is not None and seen.presence is Presence.RUNNING and record.address.kind == "sandbox":
                group.create_task(looker.look(record, seen))
    return replace(
        observation,
        records={**observation.records, **looker.found},
        diagnostics=(*observation.diagnostics, *looker.diagnostics),
        deep=True,
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
                network = await self._network(record)
                facts: dict[str, object] = {**seen.facts, **({} if network is None else {"network": network})}
                if record.setup:
                    facts.update(await self._inside(record))
            except ProviderError as problem:
                self._note(problem, record)
                return
        self.found[record.uid] = replace(seen, facts=facts)

    async def _inside(self, record: ResourceRecord) -> dict[str, object]:
        inside = await self._world.sandboxes.open(record.id, str(record.address))
        answers = await _ask(inside, record, self._trees)
        receipt = await inside.receipt()
        found: dict[str, list[str]] = {}
        for unit, sentence in _findings(record, self._trees, receipt, answers):
            if unit in record.setup:
                found.setdefault(unit, []).append(sentence)
        if receipt.uid != record.uid and any(unit not in _UNRECEIPTED for unit in record.setup):
            self.diagnostics.append(_no_receipt(record))
        setup = {unit: digest for unit, digest in record.setup.items() if unit not in found}
        return {"setup": setup, "findings": found}

    async def _network(self, record: ResourceRecord) -> Value:
        """The rules of its network where they are others than recorded; None where they are the same."""
        try:
            info = await self._world.connection.client.AsyncSandbox.get_info(record.id)
        except Exception as problem:
            raise errors.translate(problem, str(record.address)) from problem
        rules = info.network or SandboxNetworkInfo()
        allow = sorted(map(plain_destination, rules.get("allow_out", ())))
        deny = sorted(map(plain_destination, rules.get("deny_out", ())))
        recorded = record.attributes.get("network")
        same = isinstance(recorded, dict) and (recorded.get("allow"), recorded.get("deny")) == (allow, deny)
        return None if same else {"internet": EVERYTHING not in deny, "allow": [*allow], "deny": [*deny]}

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


def plain_destination(rule: str) -> str:
    """An address or network as normalised attributes have it: a network of one address is the address."""
    try:
        network = ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return rule.lower()
    return str(network.network_address) if "/" not in rule or network.num_addresses == 1 else str(network)


def _no_receipt(record: ResourceRecord) -> Diagnostic:
    return Diagnostic(
        severity=Severity.WARNING,
        code="receipt-missing",
        summary="A sandbox does not tell any more what was set up in it",
        detail=f"The receipt in {record.id} was removed or is that of another sandbox; the state is believed.",
        address=str(record.address),
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """Digests and modes by path; versions by name, by manager; whether the started process lives.

    ``env`` holds the digest of the file of variables where there is one, and the one that was noted when it was made.
    """

    digests: Mapping[str, str]
    modes: Mapping[str, int]
    packages: Mapping[str, Mapping[str, str]]
    process: bool
    env: tuple[str, ...]


_ABOUT_FILES: Final = """\
echo '==== digests'; xargs -0 -r sha256sum -- < {folder}/paths 2>/dev/null
echo '==== modes'; xargs -0 -r stat -c '%a %n' -- < {folder}/paths 2>/dev/null
"""


async def _ask(inside: Inside, record: ResourceRecord, trees: Mapping[str, Tree]) -> _Answers:
    await inside.receipt()
    folder = f"{JOBS_FOLDER}/{new_token()}"
    paths = _files(record, trees)
    if paths:
        await inside.write({f"{folder}/paths": b"".join(path.encode() + b"\0" for path in paths)}, user=ROOT)
    managers = [manager for manager in MANAGERS if manager in record.setup]
    listings = "".join(f"echo '==== {manager}'; {_LIST[manager]}\n" for manager in managers)
    answer = await inside.run(
        f"trap 'rm -rf {folder}' EXIT\n{END_MARKED}\n{_ABOUT_FILES.format(folder=folder) if paths else ''}"
        f"echo '==== env'; [ -e {ENV_FILE} ] && {{ sha256sum < {ENV_FILE}; cat {ENV_SUM} 2>/dev/null; }}\n"
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
        env=tuple(parts["env"]),
    )


def _findings(
    record: ResourceRecord, trees: Mapping[str, Tree], receipt: Receipt, answers: _Answers
) -> Iterator[tuple[str, str]]:
    """Units whose work is not there any more, or is another, each with a sentence that says what was found."""
    for path, item in _files(record, trees).items():
        if what := _difference(path, item, answers):
            yield "uploads", f"{path} {what}"
    declared = record.attributes.get("packages")
    for manager, installed in answers.packages.items():
        names = declared.get(manager) if isinstance(declared, dict) else None
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str) and not is_installed(manager, name, installed):
                yield manager, _not_installed(manager, name, installed)
    if "start" in record.setup and not answers.process:
        yield "start", "the process of start_command does not run any more"
    if receipt.uid == record.uid:
        yield from _by_receipt(record, receipt, answers)


def _by_receipt(record: ResourceRecord, receipt: Receipt, answers: _Answers) -> Iterator[tuple[str, str]]:
    if receipt.env_names and not answers.env:
        yield "env", "the file of variables was removed"
    elif answers.env and not receipt.env_names:
        yield "env", "a file of variables was put there"
    elif len(answers.env) > 1 and len(set(answers.env)) > 1:
        yield "env", "the file of variables was edited"
    for name, digest in record.setup.items():
        entry = receipt.units.get(name)
        if digest == LOST or name in _UNRECEIPTED:
            continue
        if entry is None:
            yield name, "the sandbox does not know that it was done"
        elif entry.digest != digest:
            yield name, "something else was done in the sandbox since"


def _not_installed(manager: str, requirement: str, installed: Mapping[str, str]) -> str:
    names = {package_name(manager, name): version for name, version in installed.items()}
    version = names.get(package_name(manager, requirement))
    return f"{requirement} is not installed" if version is None else f"{requirement} is installed as {version}"


def _files(record: ResourceRecord, trees: Mapping[str, Tree]) -> dict[str, Placed]:
    if "uploads" not in record.setup:
        return {}
    return places(recorded_uploads(record), trees, strict=False)


def _difference(path: str, item: Placed, answers: _Answers) -> str:
    """What is not as it was put there, "" when it is."""
    if "\n" in path or "\\" in path:  # the listings write these otherwise; such files are believed
        return ""
    mode = answers.modes.get(path)
    if mode is None:
        return "was deleted"
    # The digest of a secret file is keyed: only that the file is there can be told.
    is_secret = item.size == 0 and item.digest != _EMPTY
    if not is_secret and answers.digests.get(path) != item.digest:
        return "was edited"
    return "" if mode == item.mode & 0o7777 else f"has mode {mode:o} instead of {item.mode & 0o7777:o}"


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
    parts: dict[str, list[str]] = {
        "digests": [],
        "modes": [],
        "process": [],
        "env": [],
        **{manager: [] for manager in MANAGERS},
    }
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


async def measure(world: World, ids: Sequence[str]) -> Mapping[str, Usage]:
    """See :meth:`nexus.providers.base.Provider.measure`."""
    found: dict[str, Usage] = {}
    for start in range(0, len(ids), _PAGE):
        page = list(ids[start : start + _PAGE])
        response = await get_sandboxes_metrics.asyncio_detailed(client=world.connection.api, sandbox_ids=page)
        measured: object = answer(response, SandboxesWithMetrics).sandboxes
        for sandbox_id, item in measured.items() if isinstance(measured, dict) else ():
            metric = SandboxMetric.from_dict(item)
            found[sandbox_id] = Usage(
                time=metric.timestamp,
                cpus=metric.cpu_count,
                cpu_percent=metric.cpu_used_pct,
                memory_used=metric.mem_used,
                memory_total=metric.mem_total,
                disk_used=metric.disk_used,
                disk_total=metric.disk_total,
            )
    return found
