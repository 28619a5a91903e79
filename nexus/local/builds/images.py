"""Which base images the local engine stands in for, and what of them the host has to have.

There is no image here: machines see the host's own ``/usr``. A Debian-like image, or one named after a language, is
taken to mean this base when the language is installed on the host or can be installed on top of it; anything else is
refused rather than pretended.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

_NAME = re.compile(
    r"(?:(?:docker\.io|index\.docker\.io)/)?(?:library/)?"
    r"(?P<name>[a-z0-9._/-]+?)(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]+)?"
)
_VERSION = re.compile(r"\d+(?:\.\d+){0,2}")
# Image name to the program it promises; None means the base alone.
_STANDS_FOR: dict[str, str | None] = {
    "e2bdev/base": None,
    "debian": None,
    "ubuntu": None,
    "python": "python3",
    "node": "node",
    "oven/bun": "bun",
}
# Programs that npm installs. They run once as root, for they may complete themselves at their first start.
_FROM_NPM = {"bun"}


class UnavailableImageError(Exception):
    """The image cannot be had here; the text says what to do instead."""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """``name`` is the reference without registry, tag and digest.

    ``setup`` is a command that installs, as root, what the base lacks of the image. It honours the version in the tag;
    programs of the host have the version that they have.
    """

    name: str
    setup: str | None = None


def resolve_image(reference: str, find_program: Callable[[str], str | None] = shutil.which) -> BaseImage:
    """Raises UnavailableImageError for an image that the local base does not stand for."""
    match = _NAME.fullmatch(reference.strip().lower())
    name = match["name"] if match else reference
    if match is None or name not in _STANDS_FOR:
        raise UnavailableImageError(
            f"image '{reference}' is not available on the local engine: use e2bdev/base, debian, ubuntu, python, "
            "node or oven/bun, and install what is missing in the template's steps"
        )
    program = _STANDS_FOR[name]
    if program is None or find_program(program) is not None:
        return BaseImage(name)
    if program in _FROM_NPM and find_program("npm") is not None:
        return BaseImage(name, _npm_setup(program, match["tag"] or ""))
    also = " (or npm, which can install it)" if program in _FROM_NPM else ""
    raise UnavailableImageError(
        f"image '{reference}' needs {program}{also}, which this host does not have: install it on the host, or start "
        "from debian and install it in the template's steps"
    )


def _npm_setup(program: str, tag: str) -> str:
    version = _VERSION.match(tag)
    wanted = f"{program}@{version[0]}" if version else program
    return f"npm install --global --no-fund --no-audit --no-update-notifier {wanted} && {program} --version"
