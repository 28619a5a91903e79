"""Where one engine lives and who it is: its home folder, identity, API key and ports.

Read by both sides: the daemon that serves, and the process that starts, finds or stops it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import secrets
import socket
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from nexus.local.documents import read_document, write_document

FORMAT = 1
HOST = "127.0.0.1"
# Below the kernel's ephemeral range, so that outgoing connections do not take the ports between two starts.
_PORT_RANGE = range(21000, 30000)

# The kernel takes 107 bytes for a socket's address, and below this folder come an engine's, a machine's, and its name.
_LONGEST_PLACE = 48

TIER_VARIABLE = "NEXUS_LOCAL_ISOLATION"
"""Names the way to isolate sandboxes; unset, the best that works is taken."""

# Where programs look for certificate authorities; hosts behind a proxy of their own set them.
CERTIFICATE_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
)


class SettingsError(Exception):
    """The home folder cannot be used as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One engine. ``api_key`` also seeds every token the engine hands out."""

    home: Path
    engine_id: str
    api_key: str
    api_port: int
    sandbox_port: int
    forward_port: int

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    @property
    def sandbox_url(self) -> str:
        return f"http://{HOST}:{self.sandbox_port}"

    @property
    def access_token(self) -> str:
        """What older clients show instead of the API key, and what a few operations ask for."""
        return f"sk_e2b_{self.token('access', 'user')[:40]}"

    @property
    def domain(self) -> str:
        """What the names of sandboxes' ports end with: ``PORT-ID.localhost:SANDBOX_PORT``.

        Names under ``localhost`` mean loopback by definition, and the edge routes by Host.
        """
        return f"localhost:{self.sandbox_port}"

    @property
    def certificates(self) -> Path:
        """The authority for https to sandboxes' ports."""
        return self.home / "tls"

    @property
    def store(self) -> Path:
        """Everything the isolation keeps: base, layers, what sandboxes write."""
        return self.home / "store"

    @property
    def records(self) -> Path:
        return self.home / "records"

    @property
    def archives(self) -> Path:
        """Uploaded build contexts."""
        return self.home / "archives"

    @property
    def volumes(self) -> Path:
        return self.home / "volumes"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def runtime(self) -> Path:
        """A short path for Unix sockets, whose addresses hold about 100 bytes."""
        return runtime_folder(self.home)

    def token(self, purpose: str, subject: str) -> str:
        """A secret derived from the engine's key: the same one every time, and stored nowhere."""
        return hmac.new(self.api_key.encode(), f"{purpose}:{subject}".encode(), hashlib.sha256).hexdigest()


def default_home() -> Path:
    """``$NEXUS_HOME``, else ``nexus`` in the XDG data folder."""
    if explicit := os.environ.get("NEXUS_HOME"):
        return Path(explicit).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser().absolute() / "nexus"


def runtime_folder(home: Path) -> Path:
    """The folder for sockets of the engine at ``home``: short, private, and the same on every call."""
    name = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:8]
    return place_for_sockets() / f"nexus-{os.getuid()}-{name}"


def place_for_sockets() -> Path:
    """A folder whose name leaves room for the addresses of sockets below it. It may be open to others.

    Not ``XDG_RUNTIME_DIR``: it goes when its user logs out, and sandboxes are to outlive that.
    """
    places = ("/run", tempfile.gettempdir())
    fitting = (place for place in places if len(os.fsencode(place)) <= _LONGEST_PLACE and os.access(place, os.W_OK))
    return Path(next(fitting, "/tmp"))  # noqa: S108 - what is made there is private


def identity_file(home: Path) -> Path:
    return home / "engine.json"


def is_engine_home(home: Path) -> bool:
    return identity_file(home).is_file()


def load_settings(home: Path) -> Settings | None:
    """The engine at ``home``, or None when none has ever been there. Raises SettingsError on a newer format."""
    try:
        document = read_document(identity_file(home))
    except ValueError as error:
        raise SettingsError(str(error)) from error
    if document is None:
        return None
    match document:
        case {
            "format": int(found),
            "engine_id": str(engine_id),
            "api_key": str(api_key),
            "api_port": int(api_port),
            "sandbox_port": int(sandbox_port),
            "forward_port": int(forward_port),
        } if found <= FORMAT:
            return Settings(
                home=home,
                engine_id=engine_id,
                api_key=api_key,
                api_port=api_port,
                sandbox_port=sandbox_port,
                forward_port=forward_port,
            )
        case {"format": int(found)} if found > FORMAT:
            raise SettingsError(f"{identity_file(home)} was written by a newer nexus (format {found}); upgrade nexus")
        case _:
            raise SettingsError(f"{identity_file(home)} is damaged; remove {home} to start afresh")


def create_settings(home: Path) -> Settings:
    """Load the engine at ``home``, or make one: folder, identity, key and free ports. Raises SettingsError."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return load_settings(home) or _new_settings(home)
    except OSError as error:
        raise SettingsError(
            f"the engine's home {home} cannot be used ({error.strerror}); "
            "set NEXUS_HOME to a folder of yours with some gigabytes free"
        ) from error


def _new_settings(home: Path) -> Settings:
    api_port, sandbox_port, forward_port = free_ports(3)
    settings = Settings(
        home=home,
        engine_id=f"local-{secrets.token_hex(8)}",
        api_key=f"e2b_{secrets.token_hex(20)}",
        api_port=api_port,
        sandbox_port=sandbox_port,
        forward_port=forward_port,
    )
    save_settings(settings)
    return settings


def save_settings(settings: Settings) -> None:
    write_document(
        identity_file(settings.home),
        {
            "format": FORMAT,
            "engine_id": settings.engine_id,
            "api_key": settings.api_key,
            "api_port": settings.api_port,
            "sandbox_port": settings.sandbox_port,
            "forward_port": settings.forward_port,
        },
    )


def with_new_ports(settings: Settings) -> Settings:
    """The same engine on other ports: what it falls back to when another program took the old ones."""
    api_port, sandbox_port, forward_port = free_ports(3)
    moved = replace(settings, api_port=api_port, sandbox_port=sandbox_port, forward_port=forward_port)
    save_settings(moved)
    return moved


def free_ports(count: int) -> list[int]:
    """Different ports that nothing on this host listens on right now.

    They are neighbours, so that two engines have all of them in common or none, which makes it rare that one takes what
    another has left for a moment. Drawn from the system: a program that seeds Python's own generator, as test runners
    do, would always draw the same.
    """
    blocks = range(_PORT_RANGE.start, _PORT_RANGE.stop - count, count)
    for first in random.SystemRandom().sample(blocks, 100):
        found = list(range(first, first + count))
        if all(map(_is_free, found)):
            return found
    raise SettingsError(f"no free ports between {_PORT_RANGE.start} and {_PORT_RANGE.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
