"""Run a command as a machine's process tree would run: own network namespace, egress filter, resolv.conf.

Usage: inside.py CONTROL_FD ANSWER_FD RESOLV_CONF COMMAND... It writes three descriptor numbers to CONTROL_FD, waits for
one byte on ANSWER_FD, and becomes COMMAND. Without root it makes a user namespace first.
"""

import ctypes
import os
import sys
from pathlib import Path

from nexus.local.network import bring_up_loopback, install_egress_filter, open_dns_sockets

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MS_REC_PRIVATE = 16384 | (1 << 18)

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter_namespaces(resolv_conf: str) -> None:
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWNET
    if uid != 0:
        flags |= CLONE_NEWUSER
    checked(libc.unshare(flags))
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    checked(libc.mount(None, b"/", None, MS_REC_PRIVATE, None))
    checked(libc.mount(resolv_conf.encode(), b"/etc/resolv.conf", None, MS_BIND, None))


def main() -> None:
    control, answer, resolv_conf, *command = sys.argv[1:]
    enter_namespaces(resolv_conf)
    bring_up_loopback()
    udp, tcp = open_dns_sockets()
    notify = install_egress_filter()
    os.write(int(control), f"{notify} {udp.fileno()} {tcp.fileno()}\n".encode())
    os.read(int(answer), 1)
    udp.close()
    tcp.close()
    os.close(notify)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
