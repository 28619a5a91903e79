"""The certificate authority of one engine, which sandboxes with rules trust.

It vouches for hosts with rules, towards the sandbox that has the rules, and nowhere else: nobody but such a sandbox
trusts it. Its key follows from the engine's; neither that nor the keys of its certificates are ever written to disk.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import os
import ssl
import time
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CONTEXTS: Final = 256
_RENEWAL: Final = 30 * 24 * 3600
_LIFE: Final = datetime.timedelta(days=90)
_LONGEST_COMMON_NAME: Final = 64
# Fixed, so that every daemon of the engine makes a certificate that stands for the same authority.
_FROM: Final = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_UNTIL: Final = datetime.datetime(2049, 12, 31, tzinfo=datetime.UTC)


class Authority:
    """``key`` is the authority's own; ``engine_id`` names it."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, engine_id: str) -> None:
        self._key = key
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._make_own(f"nexus {engine_id} egress")
        self._context_of = functools.lru_cache(maxsize=_CONTEXTS)(self._make_context)

    @property
    def pem(self) -> str:
        """The certificate that sandboxes have to trust."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def context_for(self, host: str) -> ssl.SSLContext:
        """TLS settings for standing in for ``host``."""
        return self._context_of(host, int(time.time()) // _RENEWAL)

    def _make_context(self, host: str, _period: int) -> ssl.SSLContext:
        key = self._leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = self._sign(host).public_bytes(Encoding.PEM) + self._certificate.public_bytes(Encoding.PEM)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # The ssl module takes files only; this one is in memory.
        with os.fdopen(os.memfd_create("certificate"), "w+b") as file:
            file.write(key + chain)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        return context

    def _make_own(self, name: str) -> x509.Certificate:
        public = self._key.public_key()
        digest = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        subject = _named(name)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(public)
            .serial_number(int.from_bytes(digest[:16], "big") >> 1)
            .not_valid_before(_FROM)
            .not_valid_after(_UNTIL)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, SHA256())
        )

    def _sign(self, host: str) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(host if len(host) <= _LONGEST_COMMON_NAME else "a host with rules"))
            .issuer_name(self._certificate.subject)
            .public_key(self._leaf_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + _LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, SHA256())
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
