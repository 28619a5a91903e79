"""The use case `configure`: changes to a live sandbox now, without a plan.

The state is not changed: on a sandbox of the project, what was changed is drift, which a deep look finds, and an apply
with such a look takes back. :mod:`nexus.workflows.writing_back` makes the same changes for good.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nexus.kinds.definitions import definition
from nexus.kinds.network import EVERYTHING, NetworkSpec, network_from, read_network
from nexus.kinds.packages import MANAGERS, PackageSet, package_name, packages_from, read_packages
from nexus.kinds.readiness import ReadySpec, ready_from
from nexus.kinds.reading import InvalidValue, env_vars, label
from nexus.manifest import resolve_secrets
from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.state import ResourceRecord
from nexus.model.suggestions import did_you_mean
from nexus.model.values import Value, has_sensitive, is_wholly_known
from nexus.providers.configuring import Configuration, Reached
from nexus.providers.failures import SANDBOX_NOT_RUNNING
from nexus.providers.operating import Configured, LiveSandbox, NetworkRules, Operator
from nexus.providers.reporting import Report
from nexus.workflows.operating import Place, Sandbox, about, seen_now

KEY_OF_ANTHROPIC = "ANTHROPIC_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Changes:
    """What is to be different about a sandbox. Never printed: ``env_vars`` may hold secrets.

    ``env_vars`` are texts, secret ones Sensitive; ``secrets`` are names of the manifest's secrets, by the variable that
    is to hold them. Packages are written as in a manifest: ``httpx``, ``apt:jq``. ``internet`` None leaves it as it is;
    ``allow`` and ``deny`` come to what there is. ``restart`` makes a paused sandbox run again, too.
    """

    env_vars: Mapping[str, Value] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    unset: Sequence[str] = ()
    install: Sequence[str] = ()
    uninstall: Sequence[str] = ()
    run_commands: Sequence[str] = ()
    internet: bool | None = None
    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    restart: bool = False

    @property
    def touches_network(self) -> bool:
        return self.internet is not None or bool(self.allow or self.deny)

    @property
    def is_empty(self) -> bool:
        return not (self.restart or self.touches_network or self.can_be_written)

    @property
    def can_be_written(self) -> bool:
        """Whether some of it has a place in a manifest; a restart has none."""
        lists = (self.unset, self.install, self.uninstall, self.run_commands)
        return bool(self.env_vars or self.secrets or self.touches_network or any(lists))


async def configure(place: Place, operator: Operator, sandbox: Sandbox, changes: Changes, report: Report) -> Configured:
    """Change a live sandbox: its network, variables, packages, then the commands, then the restart.

    A network that is open is closed once the commands have run. Raises DiagnosticsError; what was changed before a
    failure stays.
    """
    started = time.monotonic()
    resumed = await wake(operator, sandbox, restart=changes.restart)
    with about(sandbox):
        wanted = await _configuration(place, operator, sandbox, changes)
        reached = await operator.configure(sandbox.id, wanted, report)
        live = await seen_now(operator, sandbox)
    return told(live, changes, reached, resumed=resumed, seconds=time.monotonic() - started)


async def restart(place: Place, operator: Operator, sandbox: Sandbox, report: Report, *, wanted: bool) -> Reached:
    """Start again what was started, if ``wanted``, and look at the sandbox."""
    record = _record(place, sandbox)
    with about(sandbox):
        todo = Configuration(
            user=sandbox.user, restart=wanted, start_command=_start_command(record), ready=_ready(record)
        )
        return await operator.configure(sandbox.id, todo, report)


async def wake(operator: Operator, sandbox: Sandbox, *, restart: bool) -> bool:
    """See to it that the sandbox runs; whether it had to be resumed. Only a ``restart`` resumes a paused one."""
    with about(sandbox):
        live = await operator.look(sandbox.id)
        if live.status == "running":
            return False
        if not restart:
            raise DiagnosticsError(
                error(
                    SANDBOX_NOT_RUNNING,
                    "The sandbox does not run",
                    detail=f"{sandbox} is {live.status}.",
                    hint="add --restart, or start it first with «nexus start»",
                    address=sandbox.address,
                )
            )
        await operator.resume(sandbox.id, sandbox.timeout)
    return True


def told(
    live: LiveSandbox, changes: Changes, reached: Reached, *, resumed: bool, seconds: float, written: str = ""
) -> Configured:
    """The account of changes that were made."""
    updated = len({*changes.env_vars, *changes.secrets})
    restarted = reached.restarted or resumed
    return Configured(
        sandbox=live,
        env_updated=updated,
        env_removed=len(changes.unset),
        installed=len(changes.install),
        uninstalled=len(changes.uninstall),
        commands=len(changes.run_commands),
        network_changed=changes.touches_network,
        restart_wanted=changes.restart,
        restarted=restarted,
        restart_required=bool(updated or changes.unset) and reached.has_process and not reached.restarted,
        has_anthropic_key=KEY_OF_ANTHROPIC in reached.env_names,
        seconds=seconds,
        written=written,
    )


# ---- what to change


async def _configuration(place: Place, operator: Operator, sandbox: Sandbox, changes: Changes) -> Configuration:
    record = _record(place, sandbox)
    language = await language_of(place, operator, sandbox)
    rules = await operator.network(sandbox.id) if changes.touches_network else None
    try:
        return Configuration(
            user=sandbox.user,
            network=None if rules is None else _network(rules, changes),
            closing=rules is not None and rules.internet,
            env_vars=_checked_variables(changes.env_vars),
            unset=tuple(_checked_variables(dict.fromkeys(changes.unset, ""))),
            install=_packages(changes.install, language),
            uninstall=_names(_packages(changes.uninstall, language)),
            run_commands=tuple(changes.run_commands),
            restart=changes.restart,
            start_command=_start_command(record),
            ready=_ready(record),
        )
    except InvalidValue as problem:
        subject = label(problem.path) or "what was asked for"
        summary = f"{subject} must be {problem}"
        raise DiagnosticsError(error(problem.code, summary, hint=problem.hint, address=sandbox.address)) from problem


def with_secrets(place: Place, changes: Changes, process: Mapping[str, str]) -> Changes:
    """The changes with the values of the secrets that they name. Raises DiagnosticsError where one can't be had."""
    if not changes.secrets:
        return changes
    read = place.manifest
    declared = {} if read is None else read.section("secrets")
    unknown = sorted(set(changes.secrets.values()) - declared.keys())
    if read is None or unknown:
        name = unknown[0]
        hint = did_you_mean(name, declared) or "declare it under secrets in the manifest"
        raise DiagnosticsError(error("unknown-secret", f"There is no secret {name}", hint=hint))
    values, problems = resolve_secrets(read, process, only=set(changes.secrets.values()))
    if problems:
        raise DiagnosticsError(problems)
    secret = {variable: values[name] for variable, name in changes.secrets.items()}
    return replace(changes, env_vars={**changes.env_vars, **secret})


def _checked_variables(variables: Mapping[str, Value]) -> dict[str, Value]:
    found = env_vars(dict(variables))
    return found if isinstance(found, dict) else {}


def _packages(names: Sequence[str], language: str) -> PackageSet:
    return packages_from(read_packages(list(names), language))


def _names(packages: PackageSet) -> PackageSet:
    """The same without versions, as an uninstall wants them."""
    bare = {manager: tuple(package_name(manager, name) for name in packages.of(manager)) for manager in MANAGERS}
    return PackageSet(apt=bare["apt"], pip=bare["pip"], npm=bare["npm"])


def _network(rules: NetworkRules, changes: Changes) -> NetworkSpec:
    """What the manifest would say of the network as it is, with the changes made to that."""
    opened = changes.internet is True
    denied = [rule for rule in rules.deny if rule != EVERYTHING]
    return network_from(
        read_network(
            {
                "internet": rules.internet if changes.internet is None else changes.internet,
                "allow": [*(() if opened else rules.allow), *changes.allow],
                "deny": [*denied, *changes.deny],
            }
        )
    )


# ---- what is known of the sandbox


async def language_of(place: Place, operator: Operator, sandbox: Sandbox) -> str:
    """The language of its template, which says whose packages bare names are; "" where nobody knows it."""
    record = _record(place, sandbox)
    if record is None or place.state is None:
        return _language((await operator.look(sandbox.id)).template)
    for needed in record.depends_on:
        template = place.state.resources.get(needed) if needed.kind == "template" else None
        if template is not None:
            return str(template.attributes.get("language", ""))
    return _language(str(record.attributes.get("template", "")))


def _language(template: str) -> str:
    found = definition(template.rpartition("/")[2].partition(":")[0].removeprefix("nexus-"))
    return "" if found is None else found.language


def _record(place: Place, sandbox: Sandbox) -> ResourceRecord | None:
    if place.state is None or not sandbox.address:
        return None
    return place.state.resources.get(Address.parse(sandbox.address))


def _start_command(record: ResourceRecord | None) -> str | None:
    """Where it is no secret: the state does not hold those."""
    command = None if record is None else record.attributes.get("start_command")
    return command if isinstance(command, str) else None


def _ready(record: ResourceRecord | None) -> ReadySpec | None:
    ready = None if record is None else record.attributes.get("ready")
    return ready_from(ready) if is_wholly_known(ready) and not has_sensitive(ready) else None
