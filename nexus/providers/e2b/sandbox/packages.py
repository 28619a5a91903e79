"""Packages: what is added is installed, what is gone is removed, and one of another version is installed anew.

The scripts are for templates too, where everything is new.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nexus.kinds.packages import Pins, package_name, pins_from
from nexus.kinds.pinning import lock_block
from nexus.kinds.sandbox import SandboxSpec
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, error
from nexus.model.values import Value
from nexus.providers.base import Call, ProviderError
from nexus.providers.e2b import errors
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.e2b.jobs import Job, run_job
from nexus.providers.e2b.output import Output
from nexus.providers.e2b.receipts import Receipt, commit_command
from nexus.providers.e2b.sandbox import pinned
from nexus.providers.reporting import Report

_BESIDE_SCRIPT: Final = f'"${{0%/*}}/{pinned.NPM_LOCKS}"'
"""Where a script of a job finds npm's own lock files."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What one manager has to do. ``changed`` were there in another version; ``removed`` are bare names."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def describe(self) -> str:
        words = (("installing", (*self.added, *self.changed)), ("removing", self.removed))
        return ", ".join(f"{word} {' '.join(names)}" for word, names in words if names)


async def install(inside: Inside, call: Call, spec: SandboxSpec, receipt: Receipt) -> None:
    """Bring the packages of the manager that the unit is named after to what ``spec`` says."""
    manager = call.operation.unit
    pins = spec.packages.pins.get(manager) if call.unit is not None else None
    if pins is not None:
        await _install_pinned(inside, call, pins, receipt)
        return
    wanted = spec.packages.of(manager) if call.unit is not None else ()
    delta = compare(manager, wanted, (*_before(call, manager), *receipt.extras.get(manager, ())))
    if not (delta.added or delta.changed or delta.removed):
        # Nothing was declared anew, so something that was installed is not there any more.
        delta = Delta(added=tuple(wanted))
    await _do(inside, manager, _Work.of(manager, delta), receipt.after(call), call.report)


async def _install_pinned(inside: Inside, call: Call, pins: Pins, receipt: Receipt) -> None:
    """Bring them to the versions of the lock file; what earlier ones brought besides goes."""
    manager = call.operation.unit
    former = (*_before(call, manager), *_pins_before(call, manager).added, *receipt.extras.get(manager, ()))
    removed = pinned.obsolete(manager, former, pins)
    content = b"".join(call.files.content(pins.file, "")) if pins.file else b""
    work = _Work(
        script=pinned_script(manager, pins, removed, _BESIDE_SCRIPT),
        said=said_of_pins(manager, pins),
        files={pinned.NPM_LOCKS: content},
    )
    try:
        await _do(inside, manager, work, receipt.after(call), call.report)
    except ProviderError as problem:
        if problem.diagnostic.code == errors.EXECUTION_ERROR:
            problem.diagnostic = unsatisfied(manager, call.address, problem.diagnostic.detail)
        raise


def unsatisfied(manager: str, address: Address, output: str) -> Diagnostic:
    """What is wrong where the versions of the lock file could not be installed."""
    return error(
        "lock-unsatisfied",
        f"{manager} can't install what the lock file pins",
        detail=output,
        hint="see that the sandbox may reach the registry; if that does not have these versions any more: "
        f"nexus lock --upgrade {lock_block(address)}",
        address=str(address),
    )


async def change(inside: Inside, manager: str, delta: Delta, report: Report) -> None:
    """Install and remove what nobody declared. The receipt tells of it: a later install takes it back."""
    receipt = await inside.receipt()
    after = receipt.after_change(manager, delta.added, delta.removed)
    await _do(inside, manager, _Work.of(manager, delta), after, report)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A script with files beside it, and what is said while it runs."""

    script: str
    said: str
    files: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, manager: str, delta: Delta) -> _Work:
        return cls(script=script(manager, delta), said=said(manager, delta))


async def _do(inside: Inside, manager: str, work: _Work, after: Receipt, report: Report) -> None:
    """Do the work. The same shell puts the receipt ``after`` in its place."""
    output = Output(report)
    report.progress(work.said)
    job = Job(
        script=work.script,
        user=ROOT,
        files={**work.files, "receipt": after.to_json().encode()},
        after_success=commit_command('"$F/receipt"'),
        ended_with_us=True,
        own=True,
    )
    ran = await run_job(inside, job, output)
    if ran.finished.exit_code != 0:
        raise errors.execution_failed(
            f"{manager} failed with exit code {ran.finished.exit_code}",
            exit_code=ran.finished.exit_code,
            output=output.tail,
            hint=hint(manager),
            address=inside.address,
        )
    inside.remember(after)


def said(manager: str, delta: Delta) -> str:
    """What is going on, for people."""
    return f"{manager}: {delta.describe() or 'nothing to do'}"


def said_of_pins(manager: str, pins: Pins) -> str:
    """The same for the versions of the lock file."""
    return f"{manager}: installing {len(pins.all)} packages as locked"


def hint(manager: str) -> str:
    """What to look at when a manager can't install something."""
    elsewhere = {"apt": ("pip", "npm"), "pip": ("npm", "apt"), "npm": ("pip", "apt")}[manager]
    return (
        "check the names and versions, and that the registry can be reached; "
        f"what {manager} does not have belongs under {' or '.join(elsewhere)}"
    )


def compare(manager: str, wanted: Sequence[str], before: Sequence[str]) -> Delta:
    """What leads from ``before`` to ``wanted``. Names tell a change of version from a new package."""
    names_before = {package_name(manager, item) for item in before}
    names_wanted = {package_name(manager, item) for item in wanted}
    new = [item for item in wanted if item not in before]
    return Delta(
        added=tuple(item for item in new if package_name(manager, item) not in names_before),
        changed=tuple(item for item in new if package_name(manager, item) in names_before),
        removed=tuple(sorted(names_before - names_wanted)),
        kept=tuple(item for item in wanted if item in before),
    )


def _before(call: Call, manager: str) -> tuple[str, ...]:
    """What the record says is installed. A secret name reads as none: it is installed again, never removed."""
    names = _recorded(call).get(manager)
    return tuple(item for item in names if isinstance(item, str)) if isinstance(names, list) else ()


def _pins_before(call: Call, manager: str) -> Pins:
    return pins_from(_recorded(call)).get(manager, Pins())


def _recorded(call: Call) -> Mapping[str, Value]:
    packages = call.record.attributes.get("packages") if call.record is not None else None
    return packages if isinstance(packages, dict) else {}


def script(manager: str, delta: Delta) -> str:
    """A bash script, to be run as root with -e, that does what ``delta`` says."""
    match manager:
        case "apt":
            return _apt(delta)
        case "pip":
            return _pip(delta)
        case _:
            return _npm(delta)


def pinned_script(manager: str, pins: Pins, removed: Sequence[str], npm_locks: str) -> str:
    """The same for the versions of the lock file. ``npm_locks`` is a word of the shell: the file with npm's own."""
    match manager:
        case "apt":
            work = pinned.apt(pins, removed)
        case "pip":
            work = pinned.pip(pins, removed)
        case _:
            work = pinned.npm(pins, removed, npm_locks)
    return beginning(manager) + work


def beginning(manager: str) -> str:
    """What the scripts of a manager begin with: its settings, and a clear failure where it is not there."""
    return {"apt": _APT, "pip": _PIP, "npm": _NPM}[manager]


_APT = r"""
export DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes
command -v apt-get >/dev/null || { echo 'there is no apt-get in this template' >&2; exit 127; }
apt() { apt-get -q -o DPkg::Lock::Timeout=180 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"; }
update() {
  local tries=0
  until apt update; do tries=$((tries + 1)); [ $tries -lt 3 ] || return 1; sleep 2; done
}
lists_are_fresh() {
  ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 \
    && [ -n "$(find /var/lib/apt/lists/partial -maxdepth 0 -mmin -720 2>/dev/null)" ]
}
install() {
  lists_are_fresh || { update; apt install "${options[@]}" "$@"; return; }
  apt install "${options[@]}" "$@" || { update; apt install "${options[@]}" "$@"; }
}
options=(-y --no-install-recommends --allow-downgrades
  -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold)
"""


def _apt(delta: Delta) -> str:
    lines = [_APT]
    # What was removed may have taken others along, so then everything that stays is asked for again.
    wanted = (*delta.added, *delta.changed, *(delta.kept if delta.removed else ()))
    if delta.removed:
        lines.append(f"apt remove -y {_words(delta.removed)}")
    if wanted:
        lines.append(f"install {_words(wanted)}")
    return "\n".join(lines)


_PIP = """
export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
if command -v pip >/dev/null; then pip=(pip); else pip=(python3 -m pip); fi
"${pip[@]}" --version >/dev/null || { echo 'there is no pip in this template' >&2; exit 127; }
"""


def _pip(delta: Delta) -> str:
    lines = [_PIP]
    if delta.removed:
        lines.append(f'"${{pip[@]}}" uninstall -y -q {_words(delta.removed)}')
    if delta.added:
        lines.append(f'"${{pip[@]}}" install -q --progress-bar off {_words(delta.added)}')
    if delta.changed:
        lines.append(f'"${{pip[@]}}" install -q --progress-bar off --upgrade {_words(delta.changed)}')
    return "\n".join(lines)


_NPM = """
command -v npm >/dev/null || { echo 'there is no npm in this template' >&2; exit 127; }
export npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false npm_config_loglevel=error
"""


def _npm(delta: Delta) -> str:
    lines = [_NPM]
    if delta.removed:
        lines.append(f"npm uninstall --global {_words(delta.removed)}")
    if delta.added or delta.changed:
        lines.append(f"npm install --global {_words((*delta.added, *delta.changed))}")
    return "\n".join(lines)


def _words(names: Iterable[str]) -> str:
    return " ".join(shlex.quote(name) for name in names)
