"""Certificates for https to sandboxes' ports: an authority of the engine's own that can vouch for loopback names only.

Its constraints are critical: whoever trusts it trusts it for names below ``localhost`` and for loopback addresses, and
for nothing else, even if its key were stolen. The keys of the certificates it signs are never written to disk.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import ipaddress
import os
import re
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

DOMAIN = "localhost"
_PORT_NAME = re.compile(r"[a-z0-9-]{1,63}\.localhost")
_CERTIFICATE, _KEY = "ca.pem", "ca-key.pem"
_LIFE, _LIFE_OF_AUTHORITY = datetime.timedelta(days=397), datetime.timedelta(days=3650)
_KEPT_CONTEXTS = 256


def ensure_authority(folder: Path) -> Path:
    """The authority's certificate in ``folder``, made at the first call. Raises OSError."""
    path = folder / _CERTIFICATE
    if not (path.exists() and (folder / _KEY).exists()):
        _make_authority(folder)
    return path


class LoopbackCertificates:
    """TLS for the edge: one certificate for each name that clients ask for, signed when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context_of = functools.lru_cache(maxsize=_KEPT_CONTEXTS)(self._make_context)

    @functools.cached_property
    def context(self) -> ssl.SSLContext:
        """For a listener. Clients that name no host get a certificate for ``localhost``."""
        context = self._make_context(DOMAIN)
        context.sni_callback = self._choose
        return context

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        if name is not None and _PORT_NAME.fullmatch(name.lower()):
            connection.context = self._context_of(name.lower())

    def _make_context(self, name: str) -> ssl.SSLContext:
        from cryptography.hazmat.primitives.serialization import Encoding

        certificate, authority = self._sign(name)
        chain = certificate.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # The ssl module takes files only; this one is in memory.
        with open(os.memfd_create("certificate"), "w+b") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(_key_to_pem(self._key) + chain)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        return context

    @functools.cached_property
    def _key(self) -> EllipticCurvePrivateKey:
        return _new_key()

    def _sign(self, name: str) -> tuple[x509.Certificate, x509.Certificate]:
        """A certificate for ``name``, and the authority's."""
        from cryptography import x509
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from cryptography.x509.oid import ExtendedKeyUsageOID

        ensure_authority(self._folder)
        authority = x509.load_pem_x509_certificate((self._folder / _CERTIFICATE).read_bytes())
        key = load_pem_private_key((self._folder / _KEY).read_bytes(), None)
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if name == DOMAIN:
            names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
        builder = (
            _builder(name, authority.subject, self._key, _LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_authority_identifier(authority), critical=False)
        )
        return builder.sign(key, SHA256()), authority  # type: ignore[arg-type]


def _make_authority(folder: Path) -> None:
    """Written key first, each file whole: whoever sees the certificate finds its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    key = _new_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"nexus local engine {os.urandom(4).hex()}")])
    permitted: list[x509.GeneralName] = [
        x509.DNSName(DOMAIN),
        x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
        x509.IPAddress(ipaddress.ip_network("::1/128")),
    ]
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, subject, key, _LIFE_OF_AUTHORITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(folder / _KEY, _key_to_pem(key), 0o600)
    _write(folder / _CERTIFICATE, certificate.public_bytes(Encoding.PEM), 0o644)


def _builder(
    subject: x509.Name | str, issuer: x509.Name, key: EllipticCurvePrivateKey, life: datetime.timedelta
) -> x509.CertificateBuilder:
    from cryptography import x509

    if isinstance(subject, str):
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    # Certificates are judged by the host's clock, not by the engine's, which tests may move.
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + life)
    )


def _authority_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    from cryptography import x509

    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _key_to_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


__all__ = ["DOMAIN", "LoopbackCertificates", "ensure_authority"]
