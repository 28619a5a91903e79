"""The probe: one command inside a sandbox that answers every question of a deep look, and changes nothing there.

The paths that it asks about travel in its environment, which only the sandbox's root can read, packed and in pieces as
long as the kernel allows. It answers by their order and writes none of them, for a path may hold anything.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nexus.kinds.packages import MANAGERS
from nexus.providers.e2b import errors
from nexus.providers.e2b.inside import ENV_FILE, JOBS_FOLDER, ROOT, Inside
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.receipts import PATH as RECEIPT
from nexus.providers.e2b.receipts import Receipt
from nexus.providers.e2b.sandbox.environment import ENV_SUM
from nexus.providers.e2b.sandbox.processes import MARK
from nexus.providers.e2b.shell import END_MARKED

REGULAR: Final = "f"
LINK: Final = "l"
ABSENT: Final = "-"

_PIECE: Final = 120_000
"""Characters of one variable: a kernel takes no longer text than 128 KiB."""

_PIECES: Final = 4
"""A list that is longer yet is written into a file, which costs a request."""

_LIST: Final = {
    "apt": "dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\\n' 2>/dev/null | sed -n 's/^installed //p'",
    "pip": "{ pip list --format=freeze --disable-pip-version-check 2>/dev/null"
    " || python3 -m pip list --format=freeze 2>/dev/null; } | sed 's/==/ /'",
    "npm": "npm ls --global --depth=0 --parseable --long 2>/dev/null"
    " | sed -n 's/^[^:]*:\\(..*\\)@\\([^@:]*\\)\\(:.*\\)\\{0,1\\}$/\\1 \\2/p'",
}
"""By manager: a command that writes a name and a version a line."""


@dataclass(frozen=True, slots=True)
class File:
    """``sort`` is REGULAR, LINK, ABSENT or another letter; digest and mode are those of regular files alone."""

    sort: str
    digest: str = ""
    mode: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Files by path; versions by name, by manager; whether the started process lives.

    ``env`` holds the digest of the file of variables where there is one, and the one that was noted when it was made.
    """

    receipt: Receipt
    files: Mapping[str, File]
    packages: Mapping[str, Mapping[str, str]]
    process: bool
    env: tuple[str, ...]


async def ask(inside: Inside, paths: Sequence[str], managers: Sequence[str]) -> Answers:
    """Asks about these files, and what these package managers have installed. One request, but for very long lists."""
    packed = _packed(paths) if paths else ""
    pieces = [packed[start : start + _PIECE] for start in range(0, len(packed), _PIECE)]
    envs = {f"NEXUS_PATHS_{number}": piece for number, piece in enumerate(pieces)}
    source = f'printf %s "{"".join(f"${name}" for name in envs)}"'
    cleanup = ""
    if len(pieces) > _PIECES:
        folder = f"{JOBS_FOLDER}/{new_token()}"
        await inside.write({f"{folder}/paths": packed.encode()}, user=ROOT)
        envs, source, cleanup = {}, f"cat {folder}/paths", f"trap 'rm -rf {folder}' EXIT\n"
    about_files = _ABOUT_FILES.format(names=" ".join(envs) or "_", source=source) if paths else ""
    listings = "".join(f"echo '==== {manager}'; {_LIST[manager]}\n" for manager in managers)
    finished = await inside.run(f"{cleanup}{about_files}{_ABOUT_REST}{listings}{_END}", user=ROOT, cwd="/", envs=envs)
    parts = _parts(finished.stdout)
    if "end" not in parts:
        raise errors.execution_failed(
            "The sandbox could not be looked into",
            exit_code=finished.exit_code,
            output=finished.stderr or finished.error or "The command that looks was ended before it had told all.",
            address=inside.address,
        )
    return Answers(
        receipt=Receipt.from_json("\n".join(parts["receipt"])),
        files=dict(zip(paths, _files(inside, parts, len(paths)), strict=True)),
        packages={manager: dict(_pairs(parts[manager])) for manager in managers},
        process=bool(parts["process"]),
        env=tuple(parts["env"]),
    )


_ABOUT_FILES: Final = r"""
export -n {names}
paths() {{ {source} | base64 -d | gzip -d; }}
sorts() {{
  local LC_ALL=C path
  while IFS= read -r -d '' path; do
    if [ -L "$path" ]; then printf l; elif [ -f "$path" ]; then printf f
    elif [ -e "$path" ]; then printf o; else printf -- -; fi
  done
}}
regular() {{
  local LC_ALL=C path
  while IFS= read -r -d '' path; do [ ! -L "$path" ] && [ -f "$path" ] && printf '%s\0' "$path"; done
}}
echo '==== sorts'; paths | sorts; echo
echo '==== digests'
paths | regular | xargs -0 -r sha256sum -- 2>/dev/null | LC_ALL=C sed -n 's/^\\\{{0,1\}}\([0-9a-f]\{{64\}}\) .*/\1/p'
echo '==== modes'; paths | regular | xargs -0 -r stat -c %a -- 2>/dev/null
"""

_ABOUT_REST: Final = f"""
{END_MARKED}
echo '==== receipt'; cat {RECEIPT} 2>/dev/null; echo
echo '==== env'; [ -e {ENV_FILE} ] && {{ sha256sum < {ENV_FILE}; cat {ENV_SUM} 2>/dev/null; }}
"""

_END: Final = f"echo '==== process'; marked {MARK}\necho '==== end'"


def _packed(paths: Iterable[str]) -> str:
    joined = b"".join(path.encode("utf-8", "surrogateescape") + b"\0" for path in paths)
    return base64.b64encode(gzip.compress(joined, mtime=0)).decode()


def _files(inside: Inside, parts: Mapping[str, list[str]], count: int) -> Iterator[File]:
    """Raises ProviderError when there are not as many answers as questions: something went away meanwhile."""
    sorts = "".join(parts["sorts"])
    digests, modes = parts["digests"], parts["modes"]
    if len(sorts) != count or not len(digests) == len(modes) == sorts.count(REGULAR):
        raise errors.failure(
            errors.EXECUTION_ERROR,
            "The files of the sandbox could not be looked at",
            detail=f"It told about {len(sorts)} of {count} files, and of the content of {len(digests)}.",
            hint="it may have been changed at this very moment; look again",
            address=inside.address,
        )
    contents = zip(digests, modes, strict=True)
    for sort in sorts:
        if sort == REGULAR:
            digest, mode = next(contents)
            yield File(sort, digest, int(mode, 8))
        else:
            yield File(sort)


def _parts(text: str) -> dict[str, list[str]]:
    names = ("sorts", "digests", "modes", "receipt", "env", "process", *MANAGERS)
    parts: dict[str, list[str]] = {name: [] for name in names}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("==== "):
            current = parts.setdefault(line[5:], [])
        elif line:
            current.append(line)
    return parts


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        first, separator, rest = line.partition(" ")
        if separator:
            yield first, rest
