"""What the engine may not keep in plain text on disk is sealed here, and keys of its own are made here.

Everything follows from the engine's API key, which lies in the identity file (mode 0600) of the home: no other key is
ever written. Whoever has the whole home can open what was sealed; a copy of the records alone tells nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE: Final = 12
# The order of the curve P-256: private keys are the numbers below it.
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class SealError(Exception):
    """What was sealed cannot be opened: it is damaged, or of another engine or purpose."""


class Vault:
    """Seals texts with AES-256-GCM. ``key`` is the engine's API key."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._cipher = AESGCM(self._derive("records", 32))

    def seal(self, text: str, purpose: str) -> str:
        """``purpose`` says what it is and whose, and has to be the same to open it."""
        nonce = os.urandom(_NONCE)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), purpose.encode())).decode()

    def open(self, sealed: str, purpose: str) -> str:
        """Raises :class:`SealError`."""
        try:
            data = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], purpose.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error):
            raise SealError(f"the sealed {purpose.partition(':')[0]} cannot be opened") from None

    def signing_key(self, purpose: str) -> ec.EllipticCurvePrivateKey:
        """A key pair of this engine for one purpose: the same one every time, stored nowhere."""
        number = int.from_bytes(self._derive(f"signing:{purpose}", 48), "big")
        return ec.derive_private_key(number % (_ORDER - 1) + 1, ec.SECP256R1())

    def _derive(self, purpose: str, length: int) -> bytes:
        return HKDF(SHA256(), length, salt=None, info=f"nexus {purpose}".encode()).derive(self._key)
