"""Packages in exactly the versions of the lock file: what it does not name is not installed by them.

Nothing is resolved again. pip is told everything with ``--no-deps``, apt every package with its version, and npm
installs each global package from a lock file of its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Final

from nexus.kinds.packages import Pins, package_name

NPM_LOCKS: Final = "npm-locks.json"
"""The name of the file with npm's own lock files among those of a job."""


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


def npm(pins: Pins, removed: Iterable[str], locks: str) -> str:
    """Likewise; ``locks`` is a word of the shell that means the file with npm's own lock files."""
    uninstall = _line("npm uninstall --global", removed)
    return f"""{uninstall}
root=$(npm root --global) bin=$(npm prefix --global)/bin
mkdir -p "$root" "$bin"
folder=$(mktemp -d "$root/../nexus-XXXXXX")
trap 'rm -rf "$folder"' EXIT
install_locked() {{
  node -e {shlex.quote(_BEFORE)} "$1" {locks} "$folder"
  (cd "$folder" && npm ci)
  node -e {shlex.quote(_AFTER)} "$1" "$folder" "$root" "$bin"
}}
{"".join(f"install_locked {shlex.quote(package_name('npm', item))}" + chr(10) for item in pins.added)}"""


_BEFORE: Final = """
const fs = require("fs"), path = require("path"), [name, locks, folder] = process.argv.slice(1);
const lock = JSON.parse(fs.readFileSync(locks))[name];
const write = (file, content) => fs.writeFileSync(path.join(folder, file), JSON.stringify(content));
write("package.json", {name: "nexus", private: true, ...lock.packages[""]});
write("package-lock.json", lock);
"""
"""Lays a project of one package out, with its lock file."""

_AFTER: Final = """
const fs = require("fs"), path = require("path"), [name, folder, root, bin] = process.argv.slice(1);
const modules = path.join(folder, "node_modules");
const home = path.join(root, name), inner = path.join(home, "node_modules");
fs.rmSync(home, {recursive: true, force: true});
fs.mkdirSync(path.dirname(home), {recursive: true});
fs.renameSync(path.join(modules, name), home);
const move = (from, to) => {
  for (const item of fs.readdirSync(from)) {
    const source = path.join(from, item), target = path.join(to, item);
    if (item === ".package-lock.json") continue;
    fs.mkdirSync(to, {recursive: true});
    if (fs.existsSync(target)) move(source, target); else fs.renameSync(source, target);
  }
};
move(modules, inner);
const links = path.join(inner, ".bin");
for (const item of fs.existsSync(links) ? fs.readdirSync(links) : [])
  if (!fs.existsSync(path.join(links, item))) fs.unlinkSync(path.join(links, item));
const {bin: said = {}} = JSON.parse(fs.readFileSync(path.join(home, "package.json")));
const programs = typeof said === "string" ? {[name.split("/").pop()]: said} : said;
for (const [program, file] of Object.entries(programs)) {
  const at = path.join(bin, program), target = path.join(home, file);
  fs.rmSync(at, {force: true});
  fs.chmodSync(target, 0o755);
  fs.symlinkSync(path.relative(bin, target), at);
}
"""
"""Puts the package where global ones are, what it needs inside of it, as npm itself does, and links its programs."""


def _line(command: str, names: Iterable[str]) -> str:
    words = " ".join(shlex.quote(name) for name in names)
    return f"{command} {words}\n" if words else ""
