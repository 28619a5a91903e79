"""Identity tokens of sandboxes: JWT-SVIDs, signed by the engine with a key of its own.

They say truthfully who the sandbox is to whoever trusts this engine's keys. No cloud does, so they are for services
that run beside the engine and read its keys.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

TOKEN_TYPE: Final = "JWT-SVID"  # noqa: S105 - the name of a format
_LIFE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityToken:
    """A token that a sandbox may show to ``audience``."""

    audience: str
    token_type: str = TOKEN_TYPE


class IdentityIssuer:
    """Signs for the trust domain of one engine."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, engine_id: str) -> None:
        self._key = key
        self.trust_domain = f"{engine_id}.nexus.internal"
        self._public = _public_members(key)
        canonical = json.dumps(self._public, sort_keys=True, separators=(",", ":"))
        self._key_id = _unpadded(hashlib.sha256(canonical.encode()).digest())

    def keys(self) -> Mapping[str, object]:
        """The JSON Web Key Set that verifies the tokens."""
        return {"keys": [{**self._public, "kid": self._key_id, "alg": "ES256", "use": "jwt-svid"}]}

    def token(self, sandbox_id: str, wanted: IdentityToken) -> str:
        """A token that is good for five minutes."""
        # The host's clock: whoever verifies it knows no other.
        now = int(time.time())
        subject = f"spiffe://{self.trust_domain}/sandbox/{sandbox_id}"
        header = {"alg": "ES256", "kid": self._key_id, "typ": "JWT"}
        claims = {
            "iss": f"https://{self.trust_domain}",
            "sub": subject,
            "aud": [wanted.audience],
            "iat": now,
            "exp": now + _LIFE,
            "jti": secrets.token_hex(16),
        }
        signed = f"{_encoded(header)}.{_encoded(claims)}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_unpadded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _public_members(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    x, y = (_unpadded(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _encoded(value: Mapping[str, object]) -> str:
    return _unpadded(json.dumps(value, separators=(",", ":")).encode())


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
