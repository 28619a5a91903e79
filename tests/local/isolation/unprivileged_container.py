"""A program that is PID 1 of what a default Docker container is to nexus, and runs its arguments in there.

Process ids of its own, root with Docker's usual capabilities, read-only control groups, and a seccomp filter by which
nobody can make namespaces or mount anything. It ends, and all in it, when its standard input is closed; its exit status
is the command's, if that has ended.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000
NEW_NAMESPACES = 0x7E020000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
# audit_write, setfcap
DOCKERS = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
NUMBERS = {
    # audit architecture, clone; unshare, setns, mount, umount2, pivot_root
    "x86_64": (0xC000003E, 56, (272, 308, 165, 166, 155)),
    "aarch64": (0xC00000B7, 220, (97, 268, 40, 39, 41)),
}
# open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr
NEW_MOUNT_CALLS = (428, 429, 430, 431, 432, 433, 442)
CLONE3 = 435


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def seccomp_program() -> bytes:
    audit, clone, forbidden = NUMBERS[platform.machine()]
    refuse, allow, missing = 0x00050000 | errno.EPERM, 0x7FFF0000, 0x00050000 | errno.ENOSYS
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, audit), (0x06, 0, 0, missing), (0x20, 0, 0, 0)]
    for number in (*forbidden, *NEW_MOUNT_CALLS):
        code += [(0x15, 0, 1, number), (0x06, 0, 0, refuse)]
    code += [(0x15, 0, 1, CLONE3), (0x06, 0, 0, missing)]
    code += [(0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 0, 1, NEW_NAMESPACES), (0x06, 0, 0, refuse)]
    code.append((0x06, 0, 0, allow))
    return b"".join(struct.pack("=HBBI", *line) for line in code)


def lock_up() -> None:
    """Take the filter, then all powers that Docker does not give."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    data = seccomp_program()
    buffer = ctypes.create_string_buffer(data, len(data))
    checked(LIBC.prctl(22, 2, ctypes.byref(Program(len(data) // 8, ctypes.addressof(buffer))), 0, 0))
    for capability in range(int(open("/proc/sys/kernel/cap_last_cap").read()) + 1):  # noqa: SIM115
        if capability not in DOCKERS:
            checked(LIBC.prctl(24, capability, 0, 0, 0))
    mask = sum(1 << capability for capability in DOCKERS)
    header = struct.pack("=Ii", 0x20080522, 0)
    checked(LIBC.capset(header, struct.pack("=IIIIII", mask, mask, 0, 0, 0, 0)))


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    checked(LIBC.mount(source.encode(), target.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), None))


def main(command: list[str]) -> int:
    checked(LIBC.unshare(CLONE_NEWNS | CLONE_NEWPID))
    init = os.fork()
    if init:
        return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])
    LIBC.prctl(1, 9, 0, 0, 0)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", 0)
    for line in open("/proc/self/mountinfo").read().splitlines():  # noqa: SIM115
        before, _, after = line.partition(" - ")
        if after.split()[0] in ("cgroup", "cgroup2"):
            mount("none", before.split()[4], None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    lock_up()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", 0, 0)])
    status = 0
    while sys.stdin.buffer.read(1):
        pass
    ended, found = os.waitpid(child, os.WNOHANG)
    if ended:
        status = os.waitstatus_to_exitcode(found)
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
