"""Starting one program as one user.

The only module that knows how users are switched; which way is used is the isolation tier's choice, told through
:class:`~nexus.local.envd.config.EnvdConfig`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from nexus.local.envd.accounts import Account
from nexus.local.envd.config import UserSwitch

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2

# A small shell raises the OOM score, so that the kernel takes a command before envd, and turns a missing program into
# exit code 127 with a line on stderr instead of an RPC error.
_PREAMBLE = '{ echo 100 > /proc/self/oom_score_adj; } 2>/dev/null; exec "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to start: ``argv`` is looked up in the ``PATH`` of ``env``."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str


@dataclass(frozen=True, slots=True)
class Stdio:
    """Descriptors of the new process. With ``terminal`` all three are one terminal, its controlling one."""

    stdin: int
    stdout: int
    stderr: int
    terminal: bool = False


def spawn_as(account: Account, command: Command, stdio: Stdio, switch: UserSwitch) -> int:
    """Start ``command`` as ``account`` in a session of its own and return its pid. Raises OSError.

    The caller must wait for the pid (see :mod:`nexus.local.envd.reaper`) and close its own copies of the descriptors.
    """
    with _credentials_of(account) if _must_switch(account, switch) else nullcontext():
        process = subprocess.Popen(
            ["/bin/sh", "-c", _PREAMBLE, "/bin/sh", *command.argv],
            env=dict(command.env),
            cwd=command.cwd,
            stdin=stdio.stdin,
            stdout=stdio.stdout,
            stderr=stdio.stderr,
            start_new_session=True,
            # envd has no other threads, so code may run between fork and exec.
            preexec_fn=_before_exec(account, stdio, switch),
        )
    # Popen would wait for a forgotten child by itself and take its status from the reaper.
    process.returncode = 0
    return process.pid


def _must_switch(account: Account, switch: UserSwitch) -> bool:
    own = (os.geteuid(), os.getegid(), set(os.getgroups()))
    return switch == "setuid" and own != (account.uid, account.gid, set(account.groups))


@contextmanager
def _credentials_of(account: Account) -> Iterator[None]:
    """Be ``account`` while the child is made, keeping the way back in the saved ids; exec gives the child no such way.

    Letting the child switch would make Python copy the whole process first, which takes ten times as long.
    """
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    at_parents_death = ctypes.c_int()
    _LIBC.prctl(_PR_GET_PDEATHSIG, ctypes.byref(at_parents_death), 0, 0, 0)
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, gid)
    os.setresuid(account.uid, account.uid, uid)
    try:
        yield
    finally:
        os.setresuid(uid, uid, uid)
        os.setresgid(gid, gid, gid)
        os.setgroups(groups)
        # With other ids the kernel forgets it, and a machine must not outlive its keeper.
        _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(at_parents_death.value), 0, 0, 0)


def _before_exec(account: Account, stdio: Stdio, switch: UserSwitch) -> Callable[[], None] | None:
    nested = switch == "userns" and account.uid != os.geteuid()
    if not nested and not stdio.terminal:
        return None

    def prepare() -> None:
        if stdio.terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if nested:
            _enter_user_namespace(account)

    return prepare


def _enter_user_namespace(account: Account) -> None:
    """Show the one real uid of a single-uid machine under the account's own number."""
    uid, gid = os.geteuid(), os.getegid()
    if _LIBC.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{account.uid} {uid} 1")
    _write("/proc/self/gid_map", f"{account.gid} {gid} 1")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
