"""Outbound network of machines, without any external program.

Every machine has its own network namespace with nothing but loopback. Its init installs a seccomp filter that stops the
system calls which name a network destination; the *supervisor*, outside, makes the connection in the host's network and
puts the connected socket in the place of the program's own. That is also where the network policy is enforced.

In the machine's init, in this order::

    bring_up_loopback()
    dns_udp, dns_tcp = open_dns_sockets()
    notify = install_egress_filter()
    numbers = EgressHandles(notify=notify, dns_udp=dns_udp.fileno(), dns_tcp=dns_tcp.fileno())
    # write the numbers to a pipe (on a socket, sendmsg would wait for the supervisor), await a go-ahead, close all

In its parent: ``take_handles(pid, numbers)``, then ``SupervisorClient.add``, then the go-ahead. ``/etc/resolv.conf``
of the machine names ``DNS_ADDRESS``.

What this is not: a wall against a program that attacks it. A call that the supervisor lets the kernel run reads its
address from memory once more, and a thread may have changed it meanwhile; an ordinary program never does.

What programs may notice: io_uring and calls of a foreign architecture (32-bit programs) fail with ENOSYS; a socket that
has gone outside cannot turn to the machine's own loopback, bind or listen; the engine's edge port on loopback is the
host's, unless the machine listens there itself; ``connect`` that ends by SO_SNDTIMEO says EALREADY; other descriptors
made by ``dup`` before ``connect`` keep the unconnected socket.
"""

from nexus.local.network.client import SupervisorClient, SupervisorError
from nexus.local.network.egress_filter import install_egress_filter
from nexus.local.network.kernel import set_no_new_privs, take_fd
from nexus.local.network.namespace import (
    DNS_ADDRESS,
    EgressHandles,
    bring_up_loopback,
    open_dns_sockets,
    take_handles,
)
from nexus.local.network.probe import EgressFinding, probe_egress
from nexus.local.network.rules import EgressRules
from nexus.local.network.verdicts import FORWARD_NETWORK

__all__ = [
    "DNS_ADDRESS",
    "FORWARD_NETWORK",
    "EgressFinding",
    "EgressHandles",
    "EgressRules",
    "SupervisorClient",
    "SupervisorError",
    "bring_up_loopback",
    "install_egress_filter",
    "open_dns_sockets",
    "probe_egress",
    "set_no_new_privs",
    "take_fd",
    "take_handles",
]
