"""The zygote: a clean, warmed-up process with one thread from which every machine is forked.

It gets one packet per machine on its socket: a byte that carries the
socket of the one who asks. It forks, and forgets. It holds no secrets, reaps keepers, and ends when the daemon's end of
the socket is closed; machines go on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket

from nexus.local.envd.run import warm_up
from nexus.local.isolation import cgroups, keeper, syscalls, user_namespaces
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
    hierarchies = cgroups.find_hierarchies()
    os.umask(0o022)
    os.chdir("/")
    with socket.socket(fileno=descriptor) as orders:
        warm_up()
        signal.signal(signal.SIGCHLD, _reap)
        orders.send(b"1")
        _serve(orders, hierarchies, title, tier)


def _serve(orders: socket.socket, hierarchies: cgroups.Hierarchies, title: ProcessTitle, tier: Tier) -> None:
    while True:
        # Made ahead, while nobody waits for it: it takes as long as a quarter of all the rest.
        mapping = user_namespaces.create_mapped() if tier.mapped else None
        data, descriptors, _, _ = socket.recv_fds(orders, 1, 1)
        if not data:
            return
        for descriptor in descriptors:
            with socket.socket(fileno=descriptor) as start:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    orders.close()
                    keeper.run_keeper(start, hierarchies, title, mapping)
        if mapping is not None:
            mapping.close()


def _reap(_number: int, _frame: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
