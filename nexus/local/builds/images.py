"""Which base images the local engine stands in for, and what of them the host has to have.

There is no image here: machines see the host's own ``/usr``. A Debian-like image, or one named after a language, is
taken to mean this base when the language is installed; anything else is refused rather than pretended.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

_NAME = re.compile(
    r"(?:(?:docker\.io|index\.docker\.io)/)?(?:library/)?(?P<name>[a-z0-9._/-]+?)(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?"
)
# Image name to the program it promises; None means the base alone.
_STANDS_FOR: dict[str, str | None] = {
    "e2bdev/base": None,
    "debian": None,
    "ubuntu": None,
    "python": "python3",
    "node": "node",
    "oven/bun": "bun",
}


class UnavailableImageError(Exception):
    """The image cannot be had here; the text says what to do instead."""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """``name`` is the reference without registry, tag and digest; the version asked for is not honoured."""

    name: str


def resolve_image(reference: str, find_program: Callable[[str], str | None] = shutil.which) -> BaseImage:
    """Raises UnavailableImageError for an image that the local base does not stand for."""
    match = _NAME.fullmatch(reference.strip().lower())
    name = match["name"] if match else reference
    if name not in _STANDS_FOR:
        raise UnavailableImageError(
            f"image '{reference}' is not available on the local engine: use e2bdev/base, debian, ubuntu, python or "
            "node, and install what is missing in the template's steps"
        )
    program = _STANDS_FOR[name]
    if program is not None and find_program(program) is None:
        raise UnavailableImageError(
            f"image '{reference}' needs {program}, which this host does not have: install it on the host, or start "
            "from debian and install it in the template's steps"
        )
    return BaseImage(name)
