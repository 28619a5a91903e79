"""What requirements come to in a sandbox that has nothing but its template: asked of the package managers themselves.

Nothing is installed: pip reports what it would do, apt simulates, npm writes a lock file. What they say is put together
here, so that no program has to be in the sandbox but the managers.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement

from nexus.kinds.packages import package_name
from nexus.model.lockfile import Closure, Requirements
from nexus.model.values import Value, from_json
from nexus.providers.e2b import errors
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.e2b.sandbox.packages import beginning

_INSTALLERS: Final = frozenset({"pip", "setuptools", "wheel", "distribute"})
"""What installs the others, and is never brought to another version by them."""

_NOT_OF_INTEREST: Final = ("license", "funding", "engines", "deprecated")
"""What npm's lock files say of packages, and installing does not need."""


async def resolve(inside: Inside, requirements: Requirements) -> Mapping[str, Closure]:
    """The closure of each manager's requirements. Raises ProviderError where one can't resolve its own."""
    return {manager: await _RESOLVERS[manager](inside, names) for manager, names in requirements.items()}


async def _ask(inside: Inside, manager: str, script: str, names: Sequence[str]) -> str:
    """What the script writes to its third stream; the first two are for what the manager says on the way."""
    words = " ".join(shlex.quote(name) for name in names)
    lines = f"exec 3>&1 1>&2\n{beginning(manager)}\nset -- {words}\n{script}"
    finished = await inside.run(f"bash -eo pipefail -c {shlex.quote(lines)}", user=ROOT)
    if finished.exit_code != 0:
        raise errors.failure(
            "not-resolved",
            f"{manager} can't resolve what is asked for",
            detail=finished.stderr.strip()[-4000:],
            hint="check the names and versions, and that the sandbox may reach the registry",
            address=inside.address,
        )
    return gzip.decompress(base64.b64decode(finished.stdout)).decode()


_PACKED: Final = "| gzip -c | base64 -w0 >&3"

# ---- apt


async def _apt(inside: Inside, names: Sequence[str]) -> Closure:
    script = (
        "lists_are_fresh || update\n"
        'plan=$(apt install -s "${options[@]}" "$@")\n'
        f"{{ echo \"$plan\"; dpkg-query -W -f '=${{db:Status-Status}} ${{Package}} ${{Version}}\\n'; }} {_PACKED}"
    )
    return apt_closure(await _ask(inside, "apt", script, names), names)


def apt_closure(told: str, requirements: Sequence[str]) -> Closure:
    """From what a simulation writes, and a list of what is installed."""
    added: dict[str, str] = {}
    base: dict[str, str] = {}
    installed: dict[str, str] = {}
    for line in told.splitlines():
        if found := re.match(r"Inst (\S+) (\[\S+\] )?\((\S+) ", line):
            (base if found[2] else added)[found[1]] = found[3]
        elif found := re.match(r"=installed (\S+) (\S+)", line):
            installed[found[1]] = found[2]
    for name in (package_name("apt", item) for item in requirements):
        if name in installed and name not in added:
            base.setdefault(name, installed[name])
    return Closure(added=added, base=base)


# ---- pip


async def _pip(inside: Inside, names: Sequence[str]) -> Closure:
    script = (
        "folder=$(mktemp -d)\ntrap 'rm -rf \"$folder\"' EXIT\n"
        '"${pip[@]}" install --quiet --dry-run --report "$folder/report" "$@"\n'
        '"${pip[@]}" inspect > "$folder/installed"\n'
        f'{{ cat "$folder/report"; printf "\\n\\0"; cat "$folder/installed"; }} {_PACKED}'
    )
    report, _, installed = (await _ask(inside, "pip", script, names)).partition("\0")
    return pip_closure(json.loads(report), json.loads(installed), names)


@dataclass(frozen=True, slots=True)
class _Distribution:
    version: str
    needs: tuple[str, ...]
    by_pip: bool = True


def pip_closure(report: Mapping[str, Any], installed: Mapping[str, Any], requirements: Sequence[str]) -> Closure:
    """From a report of what pip would install, and its account of what is there.

    What pip has installed in the template is part of it as a whole: two people may have built it at different times.
    """
    new = {_name(item): _new(item) for item in report["install"]}
    there = {_name(item): _there(item) for item in installed["installed"]}
    needed = set(_reachable({**there, **new}, requirements, {**_here(), **installed["environment"]}))
    base = {name for name, item in there.items() if item.by_pip or name in needed} - _INSTALLERS
    return Closure(
        added={name: item.version for name, item in new.items() if name not in there},
        base={name: new.get(name, there[name]).version for name in base | (new.keys() & there.keys())},
    )


def _here() -> dict[str, str]:
    """Markers that old versions of pip do not tell of the sandbox."""
    return {name: str(value) for name, value in default_environment().items()}


def _name(item: Mapping[str, Any]) -> str:
    return package_name("pip", item["metadata"]["name"])


def _new(item: Mapping[str, Any]) -> _Distribution:
    version = f"@ {_url(item['download_info'])}" if item.get("is_direct") else str(item["metadata"]["version"])
    return _Distribution(version, _needs(item))


def _there(item: Mapping[str, Any]) -> _Distribution:
    return _Distribution(str(item["metadata"]["version"]), _needs(item), by_pip=item.get("installer") == "pip")


def _needs(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(item["metadata"].get("requires_dist") or ())


def _url(info: Mapping[str, Any]) -> str:
    repository = info.get("vcs_info")
    return f"{repository['vcs']}+{info['url']}@{repository['commit_id']}" if repository else str(info["url"])


def _reachable(
    known: Mapping[str, _Distribution], requirements: Iterable[str], environment: Mapping[str, str]
) -> Iterator[str]:
    """Names of everything that the requirements need, and what that needs."""
    seen: set[tuple[str, str]] = set()
    waiting = [(text, "") for text in requirements]
    while waiting:
        text, extra = waiting.pop()
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # a path or a URL without a name: what it brings is in the report
        if requirement.marker is not None and not requirement.marker.evaluate({**environment, "extra": extra}):
            continue
        name = package_name("pip", requirement.name)
        for wanted in ("", *requirement.extras):
            if name in known and (name, wanted) not in seen:
                seen.add((name, wanted))
                yield name
                waiting.extend((need, wanted) for need in known[name].needs)


# ---- npm


async def _npm(inside: Inside, names: Sequence[str]) -> Closure:
    """Each by itself, as npm does with global packages: none has to agree with what another one needs."""
    script = (
        "folder=$(mktemp -d)\ntrap 'rm -rf \"$folder\"' EXIT\n"
        'for name in "$@"; do\n'
        '  place=$(mktemp -d "$folder/XXXXXX")\n'
        '  (cd "$place"; echo \'{}\' > package.json; npm install --package-lock-only --ignore-scripts "$name")\n'
        "done\n"
        f'for lock in "$folder"/*/package-lock.json; do cat "$lock"; printf \'\\0\'; done {_PACKED}'
    )
    told = await _ask(inside, "npm", script, names)
    return npm_closure([json.loads(text) for text in told.split("\0") if text])


def npm_closure(locks: Sequence[Mapping[str, Any]]) -> Closure:
    """From npm's own lock files. Where a package is fetched from is left out: each has a registry of their own."""
    added: dict[str, str] = {}
    files: dict[str, Value] = {}
    for lock in locks:
        packages = {path: _essentials(item) for path, item in lock["packages"].items()}
        name = next(iter(packages[""]["dependencies"]))
        added[name] = str(packages[f"node_modules/{name}"]["version"])
        files[name] = from_json(packages)
    return Closure(added=added, files=files)


def _essentials(item: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in item.items() if name not in (*_NOT_OF_INTEREST, "name")}
    if "integrity" in kept and str(kept.get("resolved", "")).startswith("http"):
        del kept["resolved"]
    return kept


_RESOLVERS: Final = {"apt": _apt, "pip": _pip, "npm": _npm}
