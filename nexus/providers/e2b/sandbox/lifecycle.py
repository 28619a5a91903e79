"""A sandbox's life as E2B sees it: made with a short lease, given its time, changed in place, resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from e2b import AsyncSandbox
from e2b.exceptions import SandboxNotFoundException
from e2b.sandbox.sandbox_api import SandboxLifecycle, SandboxNetworkOpts, SandboxNetworkUpdate

from nexus.kinds.network import NetworkSpec
from nexus.kinds.sandbox import SandboxSpec
from nexus.model.changes import Verb
from nexus.model.state import ResourceRecord
from nexus.model.values import Value
from nexus.providers.base import LEASE_SECONDS, Call, Result
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.e2b.metadata import marks
from nexus.providers.e2b.network_rules import network_of
from nexus.providers.e2b.sandbox import environment, processes
from nexus.providers.e2b.urls import urls_of
from nexus.providers.e2b.world import World, record_of, spec_of, timestamp
from nexus.providers.recording import record_after, shared_setup


async def create(world: World, call: Call) -> Result:
    """Make a sandbox. The same key again answers with the one that exists."""
    spec = spec_of(call, SandboxSpec)
    lease = min(LEASE_SECONDS, spec.timeout)
    setup = shared_setup(call)
    template = spec.template if setup is None else setup.id
    sandbox = await make(world, call, spec, template=template, lease=lease, key=call.key)
    created_at, expires_at = world.moment(), world.moment(lease)
    urls = await urls_of(world.connection, sandbox.sandbox_id, spec.ports)
    return Result(
        record_after(
            call,
            id=sandbox.sandbox_id,
            outputs=outputs(call, sandbox.sandbox_id, urls),
            created_at=created_at,
            expires_at=expires_at,
        )
    )


async def make(
    world: World,
    call: Call,
    spec: SandboxSpec,
    *,
    template: str,
    lease: int,
    key: str,
    own_marks: Mapping[str, str] | None = None,
) -> AsyncSandbox:
    """A sandbox that carries the marks of ``call``, or ``own_marks``, for ``lease`` seconds."""
    call.report.progress(f"creating from {template}")
    sandbox = await world.connection.client.AsyncSandbox.create(
        template=template,
        timeout=lease,
        metadata={**spec.metadata, **(marks(call) if own_marks is None else own_marks)},
        envs=dict(spec.env_vars),
        network=_egress(spec.network),
        lifecycle=_lifecycle(spec),
        volume_mounts=dict(spec.volumes) or None,
        idempotency_key=key,
        retries=0,  # a full account would only be asked again and again; the executor knows what to wait for
    )
    world.sandboxes.adopt(sandbox, str(call.address))
    return sandbox


async def set_timeout(world: World, call: Call) -> Result:
    """Give a sandbox its time to live, counted from now. The first time, also see to what it came with."""
    record, spec = record_of(call), spec_of(call, SandboxSpec)
    try:
        await world.connection.client.AsyncSandbox.set_timeout(record.id, spec.timeout)
    except SandboxNotFoundException:
        raise await world.sandboxes.explain(record.id, str(call.address)) from None
    expires_at = world.moment(spec.timeout)
    if spec.volumes:
        await own_volume_roots(await world.sandboxes.open(record.id, str(call.address)), spec)
    if call.operation.verb is Verb.ARM and record.setup:
        await _claim_setup(world, call, record)
    urls = record.outputs.get("urls")
    known = urls if isinstance(urls, dict) else {}
    return Result(record_after(call, outputs=outputs(call, record.id, known), expires_at=expires_at))


async def set_network(world: World, call: Call) -> Result:
    """Replace the rules of what the sandbox may reach."""
    record, spec = record_of(call), spec_of(call, SandboxSpec)
    rules = SandboxNetworkUpdate(allow_out=list(spec.network.allow), deny_out=list(spec.network.deny))
    try:
        await world.connection.client.AsyncSandbox.update_network(record.id, rules)
    except SandboxNotFoundException:
        raise await world.sandboxes.explain(record.id, str(call.address)) from None
    return Result(record_after(call))


async def resume(world: World, call: Call) -> Result:
    """Bring a paused sandbox back, and what its memory held where only its disk was kept."""
    record, spec = record_of(call), spec_of(call, SandboxSpec)
    call.report.progress("resuming")
    sandbox = await world.connection.client.AsyncSandbox.connect(record.id, timeout=spec.timeout, retries=0)
    inside = world.sandboxes.adopt(sandbox, str(call.address))
    receipt = await inside.receipt()
    if receipt.uid == call.uid and receipt.boot and receipt.boot != inside.boot:
        call.report.progress("setting up again what a reboot takes away")
        await environment.restore(inside, spec, receipt)
        await processes.restore(inside, spec, receipt)
    return Result(record_after(call, expires_at=world.moment(spec.timeout)))


async def record(world: World, call: Call) -> Result:
    """Take fields into the record that need no work; names of ports get their URLs."""
    known = record_of(call)
    spec = spec_of(call, SandboxSpec)
    urls = await urls_of(world.connection, known.id, spec.ports)
    return Result(record_after(call, outputs=outputs(call, known.id, urls)))


async def _claim_setup(world: World, call: Call, record: ResourceRecord) -> None:
    """The receipt in a snapshot is that of the sandbox it was taken of; what it tells holds in this one as well."""
    inherited = {unit.name for unit in call.units if unit.verb is not Verb.SET_ENV and unit.name in record.setup}
    if not inherited:
        return
    inside = await world.sandboxes.open(record.id, str(call.address))
    receipt = await inside.receipt()
    if receipt.uid == call.uid:
        return
    units = {name: entry for name, entry in receipt.units.items() if entry.digest == record.setup.get(name)}
    await environment.write_receipt(inside, receipt.for_call(call).with_units(units))


async def adopt(world: World, call: Call) -> Result:
    """Remember a sandbox that was made by other hands. Nothing is done to it."""
    sandbox_id, spec = call.operation.unit, spec_of(call, SandboxSpec)
    info = await world.connection.client.AsyncSandbox.get_info(sandbox_id)
    urls = await urls_of(world.connection, sandbox_id, spec.ports)
    record = record_after(
        call,
        id=sandbox_id,
        outputs=outputs(call, sandbox_id, urls),
        created_at=timestamp(info.started_at),
        expires_at=timestamp(info.end_at),
    )
    return Result(replace(record, attributes={**record.attributes, "network": network_of(info)}))


def outputs(call: Call, sandbox_id: str, urls: Mapping[str, Value]) -> dict[str, Value]:
    """What expressions see of a sandbox, from the concealed attributes alone."""
    shown = {name: call.attributes.get(name) for name in ("template", "timeout", "user", "ports", "metadata")}
    return {"address": str(call.address), "id": sandbox_id, **shown, "urls": dict(urls)}


def _egress(network: NetworkSpec) -> SandboxNetworkOpts | None:
    if not network.allow and not network.deny:
        return None
    return SandboxNetworkOpts(allow_out=list(network.allow), deny_out=list(network.deny))


def _lifecycle(spec: SandboxSpec) -> SandboxLifecycle:
    if spec.on_timeout == "pause":
        return SandboxLifecycle(on_timeout="pause", auto_resume=spec.auto_resume)
    return SandboxLifecycle(on_timeout="kill", auto_resume=False)


async def own_volume_roots(inside: Inside, spec: SandboxSpec) -> None:
    """New volumes belong to root, and the sandbox's user could not write to them."""
    paths = " ".join(environment.quoted(path) for path in spec.volumes)
    await inside.check(
        f"for p in {paths}; do "
        f'if [ "$(stat -c %u "$p")" = 0 ] && [ -z "$(ls -A "$p")" ]; then chown {spec.user}: "$p" || exit 1; fi; done',
        user=ROOT,
        summary="The roots of the volumes could not be given to their user",
    )
