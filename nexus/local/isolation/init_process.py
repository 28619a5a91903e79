"""The machine's init: from a process forked by the keeper to envd.

It makes the namespaces, mounts the root, moves in, gives up its powers step by step, and becomes envd. Nothing may be
imported on the way: soon the host's files are out of sight.

It reports to the keeper on ``boot``, a socket of packets: first ``{"settled": …}`` with the numbers of its egress
descriptors, if it has any. The keeper takes them, enters the machine's network, and answers with one byte.
``{"ready": true}`` follows; a failure is ``{"error": sentence}``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from nexus.local.envd.run import Envd
from nexus.local.isolation import (
    capabilities,
    cgroup_filter,
    mounts,
    rootless_filter,
    syscalls,
    tiers,
    user_namespaces,
)
from nexus.local.isolation.launch_request import LaunchRequest
from nexus.local.isolation.process_title import ProcessTitle
from nexus.local.isolation.tiers import Tier
from nexus.local.isolation.user_namespaces import MappedNamespace
from nexus.local.network import EgressHandles, bring_up_loopback, install_egress_filter, open_dns_sockets
from nexus.local.storage.accounts import USER_ID
from nexus.local.storage.guest_files import HOSTNAME

INIT_TITLE = "/usr/bin/envd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the init has in hands: the request, its sockets, and where to mount while its root is put together.

    ``service`` is the envd it will be.
    """

    request: LaunchRequest
    stage: Path
    mapping: MappedNamespace | None
    boot: socket.socket
    envd: socket.socket
    title: ProcessTitle
    service: Envd

    @property
    def tier(self) -> Tier:
        return tiers.by_name(self.request.tier)


def prepare_keeper(tier: Tier) -> None:
    """Have the keeper's next child be the first process of a PID namespace.

    An ordinary user's keeper moves into a user namespace of the machine's, which is what permits all the others.
    Without namespaces, the keeper is who the machine's orphans come to.
    """
    if not tier.namespaces:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        return
    if tier.single_uid:
        user_namespaces.enter_as_root()
    syscalls.unshare(syscalls.CLONE_NEWPID)


def run_init(launch: Launch, become: Callable[[Launch], None]) -> NoReturn:
    """The whole life of a machine's first process, in the child of a prepared keeper; ``become`` is most of it."""
    status = 1
    try:
        become(launch)
        status = 0
    except BaseException as error:
        traceback.print_exc()
        with contextlib.suppress(OSError):
            tell(launch.boot, {"error": f"{type(error).__name__}: {error}"})
    finally:
        # For good, so that no code of the parent runs twice.
        os._exit(status)


def become_init(launch: Launch) -> None:
    """Make a machine out of namespaces around this process, and be its envd."""
    tier = launch.tier
    die_with_parent()
    os.setsid()
    # Keys of the host's people (Kerberos, encrypted folders) hang on the session.
    syscalls.join_new_session_keyring()
    kept = {launch.boot.fileno(), launch.envd.fileno()}
    close_descriptors(kept | ({launch.mapping.fd} if launch.mapping else set()))
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS)
    mounts.make_private()
    root = _assemble(launch)
    mounts.mount_proc(root, guard=not tier.mapped)
    if launch.request.boot_id is not None:
        mounts.show_boot_id(root, launch.stage, launch.request.boot_id)
    mounts.enter(root)
    socket.sethostname(launch.request.hostname)
    _enter_user_namespace(launch.mapping)
    if launch.request.network != "host":
        # Of the machine's own, owned by its user namespace so that its root may bind low ports.
        syscalls.unshare(syscalls.CLONE_NEWNET)
        bring_up_loopback()
    _become_root()
    write_hostname(launch.request.hostname)
    _settle(launch)
    _give_up_powers(tier)
    if tier.single_uid:
        rootless_filter.install()
    if launch.request.self_test:
        test_root(tier)
    close_descriptors(kept)
    serve_as(launch, INIT_TITLE)


def serve_as(launch: Launch, title: str) -> None:
    """Say that the machine is ready, and be its envd until the end."""
    launch.title.set(title)
    tell(launch.boot, {"ready": True})
    launch.boot.close()
    config = dataclasses.replace(launch.request.envd, user_switch=launch.tier.user_switch)
    launch.service.serve(config, launch.envd)


def _assemble(launch: Launch) -> Path:
    request = launch.request
    plan = mounts.RootPlan(
        stage=launch.stage,
        store=request.store,
        machine_id=request.machine_id,
        base=request.base,
        layers=request.layers,
        trees=request.trees,
        volumes=dict(request.volumes),
        mapping=launch.mapping,
        single_uid=launch.tier.single_uid,
    )
    mounts.assemble_root(plan)
    return plan.root


def _enter_user_namespace(mapping: MappedNamespace | None) -> None:
    if mapping is not None:
        syscalls.setns(mapping.fd, syscalls.CLONE_NEWUSER)
        mapping.close()


def _become_root() -> None:
    """Root of the machine, whatever ids it has on the host."""
    if os.geteuid() == 0 and os.getegid() == 0 and os.getgroups() in ([], [0]):
        return
    if "deny" not in Path("/proc/self/setgroups").read_text():
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def write_hostname(hostname: str) -> None:
    """Give a machine with a name of its own the two files that tell it; the base has them for the usual name."""
    if hostname == HOSTNAME and Path("/etc/hostname").read_text().strip() == HOSTNAME:
        return
    Path("/etc/hostname").write_text(f"{hostname}\n")
    hosts = Path("/etc/hosts")
    lines = [line for line in hosts.read_text().splitlines() if not line.startswith("127.0.1.1")]
    hosts.write_text("\n".join([*lines, f"127.0.1.1\t{hostname}", ""]))


def _settle(launch: Launch) -> None:
    """Wait until the keeper has done its part: the machine's network has its supervisor and its porter."""
    egress = _install_egress() if launch.request.network == "own" else None
    tell(launch.boot, {"settled": dataclasses.asdict(egress) if egress else None})
    if os.read(launch.boot.fileno(), 1) != b"1":
        raise OSError("the network supervisor did not take this machine")
    if egress:
        egress.close()
    if not launch.tier.single_uid:
        # Only now, so that the machine's groups are the root of what it sees of groups. A namespace that belongs to the
        # machine's root would let it mount them, and there it is the owner of the daemon's own.
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)


def _install_egress() -> EgressHandles:
    """Put every later network call under the supervisor."""
    udp, tcp = open_dns_sockets()
    return EgressHandles(notify=install_egress_filter(), dns_udp=udp.detach(), dns_tcp=tcp.detach())


def _give_up_powers(tier: Tier) -> None:
    if not tier.mapped:
        cgroup_filter.install()
    capabilities.limit_to(tier.capabilities)
    if not tier.single_uid:
        syscalls.prctl(syscalls.PR_SET_SECUREBITS, 0)
        # Nobody inside may look into this process, which still holds pages of the host's Python. With a single uid
        # its children could not write their own uid maps then.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    die_with_parent()


def test_root(tier: Tier) -> None:
    """Write into both kinds of trees, and run a program as an ordinary user. Raises OSError."""
    for folder in ("/root", "/usr/local/bin"):
        Path(folder, "self-test").write_text("written")
    child = os.fork()
    if child == 0:
        try:
            if tier.user_switch == "setuid":
                os.setgroups([])
                os.setresgid(USER_ID, USER_ID, USER_ID)
                os.setresuid(USER_ID, USER_ID, USER_ID)
            os.execv("/bin/sh", ["sh", "-c", "test -s /usr/local/bin/self-test && echo x > /tmp/self-test"])  # noqa: S606
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError("a program started inside failed")


def die_with_parent() -> None:
    """Machines end with their keeper, which is the only one that can take care of them."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def close_descriptors(kept: Iterable[int]) -> None:
    """Close all but the standard ones and ``kept``. Needs ``/proc``."""
    keep = {0, 1, 2, *kept}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - one of them is the listing itself
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                continue


def tell(boot: socket.socket, message: dict[str, object]) -> None:
    """Send one report to the keeper."""
    # write(2), as sendmsg(2) may already have to wait for a supervisor.
    os.write(boot.fileno(), json.dumps(message).encode())
