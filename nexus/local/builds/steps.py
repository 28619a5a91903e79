"""What each instruction does inside a build's machine."""

from __future__ import annotations

import posixpath
import secrets
import shlex
from pathlib import Path

from nexus.local.builds.build_log import BuildLog, Lines
from nexus.local.builds.model import Step, Surroundings
from nexus.local.builds.plan import StepError, absolute
from nexus.local.guest import Command, Guest, GuestError

_RUN_LIMIT = 3600.0

_ADD_USER = """\
id -u {user} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {user}
"""

_MAKE_FOLDER = """\
[ -d {path} ] || {{ mkdir -p {path} && chown {user}: {path}; }}
"""

# Folders merge into what is there, as in Docker: what exists keeps its owner, and links to folders stay links.
_COPY = """\
set -euo pipefail
shopt -s nullglob dotglob globstar
work={work} owner={owner} mode={mode} target={target} into={into}
make_folder() {{ [ -d "$1" ] || {{ mkdir -p "$1"; chown "$owner" "$1"; }}; }}
mkdir "$work/tree"
tar -C "$work/tree" --no-same-owner -xf "$work/archive"
cd "$work/tree"
IFS=
entries=( {source} )
unset IFS
if [ "${{#entries[@]}}" -eq 0 ] || {{ [ ! -e "${{entries[0]}}" ] && [ ! -L "${{entries[0]}}" ]; }}; then
  echo "nothing in the build context matches "{shown} >&2
  exit 1
fi
chown -hR "$owner" .
[ -z "$mode" ] || chmod -R "$mode" -- "${{entries[@]}}"
if [ "${{#entries[@]}}" -gt 1 ] || [ -d "$target" ]; then into=yes; fi
for entry in "${{entries[@]}}"; do
  if [ -d "$entry" ] && [ ! -L "$entry" ]; then
    make_folder "$target"
    tar -C "$entry" -cf - . | tar -C "$target" --same-owner --no-overwrite-dir --keep-directory-symlink -xpf -
  elif [ -n "$into" ]; then
    make_folder "$target"
    cp -af -- "$entry" "$target/"
  else
    mkdir -p "$(dirname "$target")"
    cp -afT -- "$entry" "$target"
  fi
done
cd /
rm -rf "$work"
"""


class StepRunner:
    """Carries out steps in one machine, logging their output under ``prefix``."""

    def __init__(self, guest: Guest, log: BuildLog, prefix: str, label: str) -> None:
        self._guest = guest
        self._log = log
        self._prefix = prefix
        self._label = label

    async def run(self, step: Step, surroundings: Surroundings, archive: Path | None) -> None:
        """Raises StepError when the step fails; everything it wrote is to be thrown away then."""
        match step.type:
            case "RUN":
                await self._run_command(step, surroundings)
            case "COPY":
                await self._copy(step, surroundings, archive)
            case "USER":
                await self._as_root(_ADD_USER.format(user=shlex.quote(step.args[0].partition(":")[0])), step)
            case "WORKDIR":
                path = shlex.quote(absolute(step.args[0], surroundings))
                await self._as_root(_MAKE_FOLDER.format(path=path, user=shlex.quote(surroundings.user)), step)
            case _:
                raise StepError(f"instruction {step.type} is not known")

    async def _run_command(self, step: Step, surroundings: Surroundings) -> None:
        text = step.args[0]
        user = step.args[1] if len(step.args) > 1 and step.args[1] else surroundings.user
        command = Command(text=text, user=user, cwd=surroundings.workdir, envs=surroundings.env)
        await self._execute(command, f"failed to run command '{text}'")

    async def _copy(self, step: Step, surroundings: Surroundings, archive: Path | None) -> None:
        if archive is None:
            raise StepError(f"the files of COPY {step.args[0]} were not uploaded")
        source, target = step.args[0], step.args[1]
        owner = (step.args[2] if len(step.args) > 2 else "") or surroundings.user
        mode = step.args[3] if len(step.args) > 3 else ""
        work = f"/tmp/.nexus-copy-{secrets.token_hex(8)}"  # noqa: S108 - inside the machine, and not guessable
        script = _COPY.format(
            work=work,
            owner=shlex.quote(owner if ":" in owner else f"{owner}:"),
            mode=shlex.quote(mode),
            target=shlex.quote(absolute(target, surroundings)),
            into="yes" if target.endswith("/") or target in (".", "") else "",
            source=_glob(source),
            shown=shlex.quote(source),
        )
        try:
            await self._guest.upload(archive, f"{work}/archive")
        except GuestError as error:
            raise StepError(f"failed to copy '{source}': {error.message}") from error
        await self._execute(Command(text=script, user="root", cwd="/"), f"failed to copy '{source}'")

    async def _as_root(self, script: str, step: Step) -> None:
        what = f"failed to carry out {step.type} {' '.join(step.args)}"
        await self._execute(Command(text=script, user="root", cwd="/"), what)

    async def _execute(self, command: Command, failure: str) -> None:
        lines = {"stdout": Lines(), "stderr": Lines()}

        def keep(stream: str, texts: list[str]) -> None:
            for text in texts:
                level = "info" if stream == "stdout" else "warn"
                self._log.add(f"{self._prefix} [{stream}]: {text}", level=level, step=self._label)

        try:
            code = await self._guest.run(
                command, lambda stream, piece: keep(stream, lines[stream].feed(piece)), limit=_RUN_LIMIT
            )
        except GuestError as error:
            raise StepError(f"{failure}: command failed: {error}") from error
        finally:
            for stream, rest in lines.items():
                keep(stream, rest.end())
        if code != 0:
            raise StepError(f"{failure}: exit status {code}")


def _glob(source: str) -> str:
    """``source`` as a pattern for the shell: everything quoted but its wildcards."""
    clean = posixpath.normpath(source)
    pieces = []
    plain = ""
    in_class = False
    for letter in clean:
        in_class = letter == "[" or (in_class and letter != "]")
        if letter in "*?[]" or in_class:
            pieces.append(shlex.quote(plain) if plain else "")
            pieces.append(letter if letter.isalnum() or letter in "*?[]-!^" else "\\" + letter)
            plain = ""
        else:
            plain += letter
    pieces.append(shlex.quote(plain) if plain else "")
    # Names that begin with a dash must not be taken for options.
    return "./" + "".join(pieces)
