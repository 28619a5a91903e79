"""What the probe inside a sandbox tells of its setup, held against what is recorded of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from packaging.version import InvalidVersion, Version

from nexus.kinds.packages import MANAGERS, installed_names, package_name
from nexus.model.state import LOST, ResourceRecord, Tree
from nexus.providers.e2b import probe
from nexus.providers.e2b.inside import Inside
from nexus.providers.e2b.probe import Answers, File
from nexus.providers.e2b.sandbox.uploads import Placed, places, recorded_uploads

UNRECEIPTED: Final = frozenset({"env", "ready"})
"""Units that no receipt tells of: variables travel with a create, and readiness is only waited for."""

_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_PIN: Final = {
    "apt": re.compile(r"=([^=]+)$"),
    "pip": re.compile(r"^[^=]*==([^=,*]+)$"),
    "npm": re.compile(r".@(\d[^@]*)$"),
}


async def ask(inside: Inside, record: ResourceRecord, trees: Mapping[str, Tree]) -> Answers:
    """What has to be known of the sandbox to tell whether everything that ``record`` says is done in it."""
    managers = [manager for manager in MANAGERS if manager in record.setup]
    return await probe.ask(inside, list(_files(record, trees)), managers)


def findings(record: ResourceRecord, trees: Mapping[str, Tree], answers: Answers) -> Iterator[tuple[str, str]]:
    """Units whose work is not there any more, or is another, each with a sentence that says what was found."""
    for path, item in _files(record, trees).items():
        if what := _difference(item, answers.files[path]):
            yield "uploads", f"{_shown(path)} {what}"
    declared = record.attributes.get("packages")
    for manager, installed in answers.packages.items():
        for name in installed_names(declared, manager) if isinstance(declared, dict) else ():
            if not is_installed(manager, name, installed):
                yield manager, _not_installed(manager, name, installed)
    if "start" in record.setup and not answers.process:
        yield "start", "the process of start_command does not run any more"
    if answers.receipt.uid == record.uid:
        yield from _by_receipt(record, answers)


def _by_receipt(record: ResourceRecord, answers: Answers) -> Iterator[tuple[str, str]]:
    receipt = answers.receipt
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
        if entry is None and name in receipt.extras:  # what was removed without being declared so, is not installed
            if extras := ", ".join(receipt.extras[name]):
                yield name, f"{extras} was installed besides"
        elif entry is None:
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


def _difference(item: Placed, found: File) -> str:
    """What is not as it was put there, "" when it is."""
    match found.sort:
        case probe.REGULAR:
            pass
        case probe.ABSENT:
            return "was deleted"
        case probe.LINK:
            return "was replaced by a link"
        case _:
            return "is not a file any more"
    # The digest of a secret file is keyed: only that the file is there can be told.
    is_secret = item.size == 0 and item.digest != _EMPTY
    if not is_secret and found.digest != item.digest:
        return "was edited"
    wanted = item.mode & 0o7777
    return "" if found.mode == wanted else f"has mode {found.mode:o} instead of {wanted:o}"


def _shown(path: str) -> str:
    """A name may be any bytes; what a terminal could not show, or would obey, is written as Python writes it."""
    return path if path.isprintable() else ascii(path)


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
