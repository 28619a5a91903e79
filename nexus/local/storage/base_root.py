"""The base of every machine: a private ``/`` generated from the host, and thin additions to the folders it lends.

Nothing of the host's ``/home``, ``/root``, ``/srv``, ``/mnt``, ``/run`` or of other top-level folders enters. Of
``/etc`` come the files that everyone may read, less what identifies the host or its people.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.local.storage import guest_files
from nexus.local.storage.accounts import write_accounts
from nexus.local.storage.host import shared_folders
from nexus.local.storage.host_programs import copy_programs
from nexus.local.storage.layout import ROOT_TREE
from nexus.local.storage.removal import remove_tree

_TOP_FOLDERS: Final = {
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "media": 0o755,
    "mnt": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "srv": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "var": 0o755,
}
_LINK_NAMES: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

# Below /etc: whom the host belongs to, how it authenticates, where it mounts from, and what is written anew here.
_ETC_EXCLUDED: Final = frozenset(
    {
        "NetworkManager",
        "credstore",
        "credstore.encrypted",
        "crypttab",
        "docker",
        "environment",
        "environment.d",
        "exports",
        "fstab",
        "group",
        "group-",
        "gshadow",
        "gshadow-",
        "hostname",
        "hosts",
        "krb5.keytab",
        "kubernetes",
        "letsencrypt",
        "machine-id",
        "mailname",
        "motd",
        "netplan",
        "network",
        "passwd",
        "passwd-",
        "printcap",
        "rancher",
        "resolv.conf",
        "samba",
        "shadow",
        "shadow-",
        "ssh",
        "ssl/private",
        "subgid",
        "subgid-",
        "subuid",
        "subuid-",
        "sudoers",
        "sudoers.d",
        "wireguard",
    }
)

# Package managers need to know what the lent /usr holds.
_VAR_COPIES: Final = (
    "lib/dpkg",
    "lib/ucf",
    "lib/pam",
    "lib/rpm",
    "lib/pacman",
    "lib/python",
    "lib/xml-core",
    "lib/sgml-base",
    "lib/ca-certificates-java",
    "lib/shells.state",
    "lib/apt/extended_states",
    "cache/debconf",
)
_VAR_FOLDERS: Final = {
    "backups": 0o755,
    "cache": 0o755,
    "cache/apt": 0o755,
    "cache/apt/archives": 0o755,
    "cache/apt/archives/partial": 0o700,
    "cache/ldconfig": 0o700,
    "lib": 0o755,
    "lib/apt": 0o755,
    "lib/apt/lists": 0o755,
    "lib/apt/lists/partial": 0o700,
    "lib/apt/mirrors": 0o755,
    "lib/apt/periodic": 0o755,
    "lib/misc": 0o755,
    "local": 0o2775,
    "log": 0o755,
    "log/apt": 0o755,
    "mail": 0o2775,
    "opt": 0o755,
    "spool": 0o755,
    "spool/cron": 0o755,
    "tmp": 0o1777,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseOptions:
    """How a base is made. ``nameserver`` is what machines ask for names, None for the host's own resolvers.

    ``single_uid`` is for machines whose only real uid is an ordinary user's: the host's folders are then mirrored as
    empty ones of our own, since nobody can write into folders of an unmapped owner. ``whole`` is for machines that get
    copies: programs of the host then are part of the root.
    """

    rise: guest_files.Rise
    nameserver: str | None
    single_uid: bool = False
    whole: bool = False


def build_base(target: Path, options: BaseOptions, host: Path = Path("/")) -> None:
    """Generate the base at ``target``, which appears whole or not at all; an existing one stays."""
    if target.exists():
        return
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        scratch.mkdir(mode=0o711)
        _build_root(scratch / ROOT_TREE, options, host)
        if options.whole:
            copy_programs(shared_folders(host), scratch / ROOT_TREE, host)
            _add_programs(scratch / ROOT_TREE, options, host)
        else:
            for name in shared_folders(host):
                _build_addition(scratch / name, name, options, host)
            _add_programs(scratch, options, host)
        scratch.rename(target)
    except BaseException as error:
        remove_tree(scratch)
        # Somebody else may have been faster: the doctor, or the engine beside it.
        if not (isinstance(error, OSError) and target.exists()):
            raise


def refresh_resolver(base: Path, options: BaseOptions, host: Path = Path("/")) -> None:
    """Bring the base's resolv.conf up to date: a laptop's resolvers change between two starts of the engine."""
    path = base / ROOT_TREE / "etc/resolv.conf"
    wanted = _resolver_text(options, host)
    if path.read_text() != wanted:
        path.write_text(wanted)


def _build_root(root: Path, options: BaseOptions, host: Path) -> None:
    _make_folder(root, 0o755)
    for name, mode in _TOP_FOLDERS.items():
        _make_folder(root / name, mode)
    for name in shared_folders(host):
        _make_folder(root / name, 0o755)
    for name in _LINK_NAMES:
        if (host / name).is_symlink():
            (root / name).symlink_to((host / name).readlink())
    _copy_etc(root / "etc", host / "etc")
    _build_var(root / "var", host / "var")
    write_accounts(root / "etc", host / "etc")
    _write_identity(root / "etc", options, host)
    for home, owner in ((root / "root", 0), (root / "home/user", 1000)):
        _build_home(home, host / "etc/skel", owner, options)
    (root / "home/user").chmod(0o755)


def _build_addition(target: Path, name: str, options: BaseOptions, host: Path) -> None:
    """The layer right above a lent folder of the host."""
    _make_folder(target, 0o755)
    if options.single_uid:
        _mirror_folders(host / name, target)


def _add_programs(base: Path, options: BaseOptions, host: Path) -> None:
    usr = base / "usr"
    for folder in ("local", "local/bin", "sbin", "lib"):
        _make_folder(usr / folder, 0o755)
    _write(usr / "sbin/policy-rc.d", guest_files.POLICY_RC_D, 0o755)
    # A set-uid sudo changes nothing where all users are one.
    if options.single_uid or not any((host / "usr" / folder / "sudo").exists() for folder in ("bin", "sbin")):
        _write(usr / "local/bin/sudo", guest_files.sudo_shim(options.rise), 0o755)
    python = usr / "local/bin/python"
    if (host / "usr/bin/python3").exists() and not (host / "usr/bin/python").exists() and not os.path.lexists(python):
        python.symlink_to("/usr/bin/python3")
    for marker in _pip_locks(host):
        if options.whole:
            (base / marker.relative_to(host)).unlink(missing_ok=True)
        else:
            _whiteout(base / marker.relative_to(host))


def _pip_locks(host: Path) -> Iterator[Path]:
    """The files by which distributions keep pip from installing into the system's Python."""
    for pattern in ("usr/lib/python3*", "usr/lib64/python3*", "usr/local/lib/python3*"):
        for folder in host.glob(pattern):
            marker = folder / "EXTERNALLY-MANAGED"
            if marker.exists() and not any(parent.is_symlink() for parent in folder.parents):
                yield marker


def _copy_etc(target: Path, source: Path) -> None:
    def is_public(path: Path, status: os.stat_result) -> bool:
        if str(path.relative_to(source)) in _ETC_EXCLUDED:
            return False
        needed = 0o005 if stat.S_ISDIR(status.st_mode) else 0o004
        return stat.S_ISLNK(status.st_mode) or status.st_mode & needed == needed

    _copy_tree(source, target, is_public)


def _build_var(target: Path, source: Path) -> None:
    for name, mode in _VAR_FOLDERS.items():
        _make_folder(target / name, mode)
    for name in _VAR_COPIES:
        origin = source / name
        if origin.is_symlink() or not origin.exists():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            _make_folder(target / name, stat.S_IMODE(origin.stat().st_mode))
            _copy_tree(origin, target / name, _is_world_readable)
        elif _is_world_readable(origin, origin.stat()):
            _copy_file(origin, target / name)
    (target / "run").symlink_to("/run")
    (target / "lock").symlink_to("/run/lock")


def _is_world_readable(path: Path, status: os.stat_result) -> bool:
    if path.name in {"lock", "lock-frontend", "triggers/Lock"}:
        return False
    return stat.S_ISLNK(status.st_mode) or bool(status.st_mode & stat.S_IROTH)


def _write_identity(etc: Path, options: BaseOptions, host: Path) -> None:
    _write(etc / "hostname", f"{guest_files.HOSTNAME}\n")
    _write(etc / "hosts", guest_files.HOSTS)
    _write(etc / "resolv.conf", _resolver_text(options, host))
    _write(etc / "machine-id", f"{secrets.token_hex(16)}\n", 0o444)
    _write(etc / "fstab", "")
    _write(etc / "environment", "")
    _write(etc / "sudoers", guest_files.SUDOERS, 0o440)
    _make_folder(etc / "pam.d", 0o755)
    _write(etc / "pam.d/su", guest_files.PAM_SU)
    if not (etc / "mtab").is_symlink():
        (etc / "mtab").unlink(missing_ok=True)
        (etc / "mtab").symlink_to("/proc/self/mounts")
    if options.single_uid and (etc / "apt/apt.conf.d").is_dir():
        _write(etc / "apt/apt.conf.d/99sandbox-user", 'APT::Sandbox::User "root";\n')


def _resolver_text(options: BaseOptions, host: Path) -> str:
    if options.nameserver is not None:
        return f"nameserver {options.nameserver}\n"
    # systemd-resolved's own list, since its stub listens on a loopback that machines do not share.
    for name in ("run/systemd/resolve/resolv.conf", "etc/resolv.conf"):
        with contextlib.suppress(OSError):
            return (host / name).read_text()
    return ""


def _build_home(home: Path, skeleton: Path, owner: int, options: BaseOptions) -> None:
    home.mkdir(mode=0o755, exist_ok=True)
    for name, text in ((".profile", guest_files.PROFILE), (".bashrc", guest_files.BASHRC)):
        _write(home / name, text)
    if skeleton.is_dir():
        _copy_tree(skeleton, home, _is_world_readable)
    if options.single_uid:
        return
    for path in (home, *home.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)


def _copy_tree(source: Path, target: Path, wanted: Callable[[Path, os.stat_result], bool]) -> None:
    """Copy what ``wanted`` says yes to; files that cannot be read and files that are no files stay behind."""
    pending = [(source, target)]
    while pending:
        origin, copy = pending.pop()
        try:
            entries = sorted(origin.iterdir())
        except PermissionError:
            continue
        for entry in entries:
            status = entry.lstat()
            place = copy / entry.name
            if not wanted(entry, status):
                continue
            if stat.S_ISLNK(status.st_mode):
                place.unlink(missing_ok=True)
                place.symlink_to(entry.readlink())
            elif stat.S_ISDIR(status.st_mode):
                _make_folder(place, stat.S_IMODE(status.st_mode))
                _keep_owner(place, status)
                pending.append((entry, place))
            elif stat.S_ISREG(status.st_mode):
                with contextlib.suppress(PermissionError):
                    _copy_file(entry, place)


def _copy_file(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    status = source.stat()
    _keep_owner(target, status)
    target.chmod(stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _keep_owner(path: Path, status: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(path, status.st_uid, status.st_gid)


def _mirror_folders(source: Path, target: Path) -> None:
    """Rebuild the folders below ``source``, without files, as our own."""
    pending = [(os.fspath(source), os.fspath(target))]
    while pending:
        origin, copy = pending.pop()
        try:
            with os.scandir(origin) as entries:
                folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        except PermissionError:
            # Hidden rather than half shown: the overlay could not read it either.
            os.setxattr(copy, "user.overlay.opaque", b"y")
            continue
        for folder in folders:
            place = f"{copy}/{folder.name}"
            os.mkdir(place)  # noqa: PTH102 - many thousand folders
            os.chmod(place, stat.S_IMODE(folder.stat(follow_symlinks=False).st_mode) | 0o700)  # noqa: PTH101
            pending.append((folder.path, place))


def _whiteout(path: Path) -> None:
    """Hide the file of the layers below, the way overlayfs notes a deletion. Needs no privileges."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def _make_folder(path: Path, mode: int) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(mode)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)
