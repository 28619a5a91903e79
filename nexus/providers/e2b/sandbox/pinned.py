"""Packages in exactly the versions of the lock file: what it does not name is not installed by them.

Nothing is resolved again. pip is told everything with ``--no-deps``, apt every package with its version, and npm
installs from a lock file of its own, in a folder beside the global packages, which are links into it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Final

from nexus.kinds.packages import Pins, package_name

PACKAGE_LOCK: Final = "package-lock.json"
"""The name of npm's lock file among the files of a job."""

_NPM_FOLDER: Final = '"$(npm prefix --global)/lib/nexus"'


def obsolete(manager: str, before: Iterable[str], pins: Pins) -> tuple[str, ...]:
    """Names of what was installed by earlier versions of the lock file, and is in this one no more."""
    wanted = {package_name(manager, item) for item in pins.all}
    return tuple(sorted({package_name(manager, item) for item in before} - wanted))


def pip(pins: Pins, removed: Iterable[str]) -> str:
    """Lines for after the manager's own beginning."""
    uninstall = _line('"${pip[@]}" uninstall -y -q', removed)
    return uninstall + _line('"${pip[@]}" install -q --progress-bar off --no-deps', pins.all)


def apt(pins: Pins, removed: Iterable[str]) -> str:
    """Likewise. What is gone is removed first: it may be what the new versions conflict with."""
    return _line("apt remove -y", removed) + _line("install", pins.all)


def npm(pins: Pins, package_lock: str) -> str:
    """Likewise; ``package_lock`` is a word of the shell that means npm's lock file."""
    names = " ".join(shlex.quote(package_name("npm", item)) for item in pins.added)
    return f"""
folder={_NPM_FOLDER}
mkdir -p "$folder"
cp -f {package_lock} "$folder/package-lock.json"
cd "$folder"
node -e 'const fs = require("fs"), lock = JSON.parse(fs.readFileSync("package-lock.json"));
fs.writeFileSync("package.json", JSON.stringify({{name: "nexus", private: true, ...lock.packages[""]}}))'
npm ci
node -e {shlex.quote(_LINK)} "$folder" "$(npm root --global)" "$(npm prefix --global)/bin" {names}
"""


def npm_unlocked() -> str:
    """Takes away what :func:`npm` has left, where npm is to resolve again."""
    return f"""
folder={_NPM_FOLDER}
if [ -e "$folder" ]; then
  node -e {shlex.quote(_LINK)} "$folder" "$(npm root --global)" "$(npm prefix --global)/bin"
  rm -rf "$folder"
fi
"""


_LINK: Final = """
const fs = require("fs"), path = require("path"), [folder, root, bin, ...names] = process.argv.slice(1);
const inside = path.join(folder, "node_modules") + path.sep;
const leads = item => {
  try { return path.resolve(path.dirname(item), fs.readlinkSync(item)).startsWith(inside) } catch { return false }
};
const unlink = at => {
  for (const name of fs.existsSync(at) ? fs.readdirSync(at) : []) {
    const item = path.join(at, name);
    if (name.startsWith("@") && !fs.lstatSync(item).isSymbolicLink()) unlink(item);
    else if (leads(item)) fs.unlinkSync(item);
  }
};
const link = (target, at) => {
  fs.mkdirSync(path.dirname(at), {recursive: true});
  fs.rmSync(at, {recursive: true, force: true});
  fs.symlinkSync(path.relative(path.dirname(at), target), at);
};
unlink(root); unlink(bin);
for (const name of names) {
  const home = path.join(inside, name);
  const {bin: programs = {}} = JSON.parse(fs.readFileSync(path.join(home, "package.json")));
  const own = typeof programs === "string" ? {[name.split("/").pop()]: programs} : programs;
  link(home, path.join(root, name));
  for (const [program, file] of Object.entries(own)) link(path.join(home, file), path.join(bin, program));
}
"""
"""Takes away links into the folder, then makes those of the packages that are named, and of their programs."""


def _line(command: str, names: Iterable[str]) -> str:
    words = " ".join(shlex.quote(name) for name in names)
    return f"{command} {words}\n" if words else ""
