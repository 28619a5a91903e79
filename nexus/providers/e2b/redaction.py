"""Secrets taken out of what comes back from sandboxes, before anybody sees it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

from nexus.model.diagnostics import Diagnostic
from nexus.providers.reporting import Report

MASK: Final = "(sensitive)"
_SHORTEST: Final = 4
"""Shorter values are not searched for: masking every «1» would make output unreadable and tell the value besides."""


class Redactor:
    """Replaces secrets, and the usual encodings of them, by a mark."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= _SHORTEST}
        # The longest first, so that no secret survives as the rest of a shorter one that it contains.
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        encoded = [form.encode() for form in ordered]
        self._bytes = re.compile(b"|".join(map(re.escape, encoded))) if encoded else None
        self._longest = max(map(len, encoded), default=0)

    def text(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    @property
    def longest(self) -> int:
        """Bytes of the longest form that is looked for; 0 where there is nothing to look for."""
        return self._longest

    def finds(self, content: bytes) -> bool:
        """Whether a secret is in it."""
        return self._bytes is not None and self._bytes.search(content) is not None

    def diagnostic(self, diagnostic: Diagnostic) -> Diagnostic:
        if self._pattern is None:
            return diagnostic
        return Diagnostic(
            severity=diagnostic.severity,
            code=diagnostic.code,
            summary=self.text(diagnostic.summary),
            detail=self.text(diagnostic.detail),
            hint=self.text(diagnostic.hint),
            address=diagnostic.address,
            range=diagnostic.range,
        )


@dataclass(frozen=True, slots=True)
class RedactedReport:
    """A report that secrets can't get into."""

    inner: Report
    redactor: Redactor

    def progress(self, message: str) -> None:
        self.inner.progress(self.redactor.text(message))

    def log(self, stream: str, text: str) -> None:
        self.inner.log(stream, self.redactor.text(text))


def _forms(secret: str) -> Iterator[str]:
    if len(secret) < _SHORTEST:
        return
    yield secret
    stripped = secret.strip()
    yield stripped
    for part in (secret, stripped):
        raw = part.encode()
        yield raw.hex()
        yield quote(part, safe="")
        yield quote_plus(part)
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield from _base64_forms(raw)
    # Output is looked at line by line, so every line of a secret is one.
    yield from (line.strip() for line in secret.splitlines() if len(line.strip()) >= 2 * _SHORTEST)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """The secret encoded on its own, and at each of the three offsets at which it may stand inside a longer text."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode()
        yield encode(raw).decode().rstrip("=")
        for offset in range(3):
            encoded = encode(b"\0" * offset + raw).decode()
            start = 0 if offset == 0 else offset + 1
            end = len(encoded) - (4 if (offset + len(raw)) % 3 else 0)
            if end - start >= 2 * _SHORTEST:
                yield encoded[start:end]
