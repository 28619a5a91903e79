"""What one command inside a sandbox tells of its setup, held against what is recorded of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from packaging.version import InvalidVersion, Version

from nexus.kinds.packages import MANAGERS, package_name
from nexus.model.state import LOST, ResourceRecord, Tree
from nexus.providers.e2b.inside import ENV_FILE, JOBS_FOLDER, ROOT, Inside
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.receipts import Receipt
from nexus.providers.e2b.sandbox.environment import ENV_SUM
from nexus.providers.e2b.sandbox.processes import MARK
from nexus.providers.e2b.sandbox.uploads import Placed, places, recorded_uploads
from nexus.providers.e2b.shell import END_MARKED

UNRECEIPTED: Final = frozenset({"env", "ready"})
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


@dataclass(frozen=True, slots=True)
class Answers:
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


async def ask(inside: Inside, record: ResourceRecord, trees: Mapping[str, Tree]) -> Answers:
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
    return Answers(
        digests={line[66:]: line[:64] for line in parts["digests"]},
        modes={path: int(mode, 8) for mode, path in _pairs(parts["modes"])},
        packages={manager: dict(_pairs(parts[manager])) for manager in managers},
        process=bool(parts["process"]),
        env=tuple(parts["env"]),
    )


def findings(
    record: ResourceRecord, trees: Mapping[str, Tree], receipt: Receipt, answers: Answers
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


def _by_receipt(record: ResourceRecord, receipt: Receipt, answers: Answers) -> Iterator[tuple[str, str]]:
    if receipt.env_names and not answers.env:
        yield "env", "the file of variables was removed"
    elif answers.env and not receipt.env_names and not receipt.restored:
        yield "env", "a file of variables was put there"
    elif len(answers.env) > 1 and len(set(answers.env)) > 1:
        yield "env", "the file of variables was edited"
    for name, digest in record.setup.items():
        entry = receipt.units.get(name)
        if digest == LOST or name in UNRECEIPTED:
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


def _difference(path: str, item: Placed, answers: Answers) -> str:
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
