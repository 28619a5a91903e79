"""The zygote: a clean, warmed-up process with one thread from which every machine is forked.

It gets one packet per machine on its socket: a byte that carries the socket of the one who asks. It forks, and forgets.
It holds no secrets, reaps keepers, and ends when the daemon's end of the socket is closed; machines go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket

from nexus.local.envd.run import Envd, warm_up
from nexus.local.isolation import cgroups, keeper, shared_heap, syscalls
from nexus.local.isolation.keeper import Inheritance
from nexus.local.isolation.machine_processes import MachineProcesses
from nexus.local.isolation.namespace_maker import NamespaceMaker
from nexus.local.isolation.process_title import ProcessTitle
from nexus.local.isolation.tiers import Tier


def main(descriptor: int, tier: Tier) -> None:
    """Warm up, say so, then fork a keeper per request."""
    title = ProcessTitle()
    title.forget_environment()
    title.set("nexus-zygote")
    # Orphans of machines come here instead of to an init that may be slow to reap them.
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    # Ctrl-C in the terminal of whoever started the daemon is not meant for machines.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o022)
    os.chdir("/")
    with socket.socket(fileno=descriptor) as orders:
        warm_up()
        inheritance = Inheritance(hierarchies=cgroups.find_hierarchies(), title=title, envd=Envd())
        shared_heap.seal()
        orders.send(b"1")
        _serve(orders, inheritance, tier)


def _serve(orders: socket.socket, inheritance: Inheritance, tier: Tier) -> None:
    """Nothing is done here but to fork: every page that is written to between two forks is one less that they share."""
    maker = NamespaceMaker() if tier.mapped else None
    keepers: set[int] = set()
    signal.signal(signal.SIGCHLD, lambda _number, _frame: _reap(keepers, end_others=not tier.namespaces))
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, 1, 1)
        if not data:
            return
        for descriptor in descriptors:
            with socket.socket(fileno=descriptor) as start:
                try:
                    mapping = maker.take() if maker else None
                except OSError as error:
                    start.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
                    continue
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
                if (child := os.fork()) == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
                    orders.close()
                    if maker is not None:
                        maker.close()
                    keeper.run_keeper(start, inheritance, mapping)
            keepers.add(child)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            if mapping is not None:
                mapping.close()


def _reap(keepers: set[int], *, end_others: bool) -> None:
    """Take the statuses of children that ended.

    Where no namespace ends with its init, what is left of a machine whose keeper was killed comes here:
    ``end_others`` ends it.
    """
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitpid(-1, os.WNOHANG)[0]:
            keepers.discard(ended)
    if end_others:
        for pid in MachineProcesses.below(os.getpid()).children():
            if pid not in keepers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
