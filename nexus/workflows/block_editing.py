"""What changes to a sandbox come to in the text of its block. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from nexus.expressions import escaped
from nexus.kinds.packages import MANAGER_OF_LANGUAGE, MANAGERS, package_name
from nexus.kinds.reading import as_text
from nexus.manifest import NotEditable, Path, Plain, read_yaml, with_item, with_value, without
from nexus.manifest.scalars import read_plain
from nexus.model.values import Scalar, Value
from nexus.workflows.configuring import Changes

SECTION: Final = "sandboxes"


@dataclass(slots=True)
class Block:
    """The text of a file, and the block in it that is edited. ``language`` is that of the sandbox's template."""

    text: str
    name: str
    value: Plain
    language: str

    def edit(self, changes: Changes) -> str:
        """The text with everything in it that ``changes`` ask for. Raises NotEditable."""
        for name, value in changes.env_vars.items():
            if name not in changes.secrets:
                self._set_variable(name, str(value))
        for name, secret in changes.secrets.items():
            self._set(("env_vars", name), f"${{{{ secrets.{secret} }}}}")
        for name in changes.unset:
            self._remove(("env_vars", name))
        for package in changes.uninstall:
            self._uninstall(package)
        for package in changes.install:
            self._install(package)
        for command in changes.run_commands:
            self._append(("run_commands",), escaped(command))
        self._edit_network(changes)
        return self.text

    # ---- fields

    def _set_variable(self, name: str, text: str) -> None:
        current = self._get(("env_vars", name))
        if isinstance(current, str | bool | int | float) and as_text(current) == escaped(text):
            return
        self._set(("env_vars", name), escaped(text) if isinstance(current, str) else _as_people_write(text))

    def _edit_network(self, changes: Changes) -> None:
        if changes.internet is not None:
            self._set(("network", "internet"), changes.internet)
            if changes.internet and self._get(("network", "allow")):
                self._remove(("network", "allow"))
        for key, wanted in (("allow", changes.allow), ("deny", changes.deny)):
            for destination in wanted:
                known = self._get(("network", key))
                if not isinstance(known, list) or destination not in known:
                    self._append(("network", key), destination)

    def _install(self, package: str) -> None:
        manager, name = self._split(package)
        path, names = self._packages(manager)
        for index, known in enumerate(names):
            known_manager, requirement = self._split(known) if path == ("packages",) else (manager, known)
            if known_manager == manager and package_name(manager, requirement) == package_name(manager, name):
                if requirement != name:
                    self._set((*path, index), known.removesuffix(requirement) + name)
                return
        self._append(path, package if path == ("packages",) else name)

    def _uninstall(self, package: str) -> None:
        manager, name = self._split(package)
        path, names = self._packages(manager)
        for index, known in enumerate(names):
            known_manager, requirement = self._split(known) if path == ("packages",) else (manager, known)
            if known_manager == manager and package_name(manager, requirement) == package_name(manager, name):
                self._remove((*path, index))
                return
        raise NotEditable(f"its packages do not list {name}")

    def _packages(self, manager: str) -> tuple[Path, Sequence[str]]:
        """The list that packages of this manager stand in, and what is in it."""
        packages = self._get(("packages",))
        path: Path = ("packages", manager) if isinstance(packages, dict) else ("packages",)
        names = self._get(path)
        return path, [str(item) for item in names] if isinstance(names, list) else []

    def _split(self, package: str) -> tuple[str, str]:
        """The manager and the name; the manager is "" where nobody knows it."""
        prefix, colon, rest = package.partition(":")
        if colon and prefix in MANAGERS:
            return prefix, rest.strip()
        return MANAGER_OF_LANGUAGE.get(self.language, ""), package

    # ---- edits

    def _get(self, path: Path) -> Value:
        value: Value = self.value
        for part in path:
            value = value.get(str(part)) if isinstance(value, dict) else None
        return value

    def _set(self, path: Path, value: Scalar) -> None:
        self._change(with_value, path, value)

    def _append(self, path: Path, value: Scalar) -> None:
        self._change(with_item, path, value)

    def _change(self, edit: Callable[[str, Path, Scalar], str], path: Path, value: Scalar) -> None:
        self.text = edit(self.text, (SECTION, self.name, *path), value)
        self._read_again()

    def _remove(self, path: Path) -> None:
        self.text = without(self.text, (SECTION, self.name, *path), keep=2)
        self._read_again()

    def _read_again(self) -> None:
        document = read_yaml(self.text).value
        section = document.get(SECTION) if isinstance(document, dict) else None
        self.value = section.get(self.name) if isinstance(section, dict) else None


def _as_people_write(text: str) -> Scalar:
    """A number or a boolean where that gives this very text; others mean themselves."""
    plain = read_plain(text)
    return plain if isinstance(plain, int) and as_text(plain) == text else escaped(text)
