"""What changes to a sandbox come to in the text of its block. Pure: nothing is read or written here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nexus.expressions import escaped, parse
from nexus.kinds.packages import MANAGER_OF_LANGUAGE, MANAGERS, package_name
from nexus.kinds.reading import as_text
from nexus.manifest import NotEditable, Path, Plain, read_yaml, with_item, with_value, without
from nexus.manifest.scalars import read_plain
from nexus.model.diagnostics import Diagnostics
from nexus.model.values import Scalar, Value
from nexus.workflows.configuring import Changes

SECTION: Final = "sandboxes"
_SECRET: Final = re.compile(r"\$\{\{\s*secrets\.\w+\s*\}\}")


@dataclass(slots=True)
class Block:
    """The text of a file, and the block in it that is edited. ``language`` is that of the sandbox's template.

    ``at`` is the field that was edited last, or that could not be.
    """

    text: str
    name: str
    value: Plain
    language: str
    at: Path = ()

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
        path, requirement = self._find(manager, name)
        if not requirement:
            self._append(path, package if path == ("packages",) else name)
        elif requirement != name:
            self._set(path, str(self._get(path)).removesuffix(requirement) + name)

    def _uninstall(self, package: str) -> None:
        manager, name = self._split(package)
        path, requirement = self._find(manager, name)
        if not requirement:
            raise NotEditable(f"its packages do not list {name}")
        self._remove(path)

    def _find(self, manager: str, name: str) -> tuple[Path, str]:
        """Where a package is listed, and as which requirement; or the list that it belongs into, and ""."""
        by_manager = isinstance(self._get(("packages",)), dict)
        path: Path = ("packages", manager) if by_manager else ("packages",)
        names, self.at = self._get(path), path
        if isinstance(names, str):
            raise NotEditable(f"{'.'.join(map(str, path))} is an expression")
        for index, known in enumerate(names if isinstance(names, list) else ()):
            its_manager, requirement = (manager, str(known)) if by_manager else self._split(str(known))
            if its_manager == manager and package_name(manager, requirement) == package_name(manager, name):
                return (*path, index), requirement
        return path, ""

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
            if isinstance(value, list) and isinstance(part, int):
                value = value[part]
            else:
                value = value.get(str(part)) if isinstance(value, dict) else None
        return value

    def _set(self, path: Path, value: Scalar) -> None:
        """What an expression gives may be another value elsewhere, so it is not written over."""
        self.at = path
        if _is_expression(self._get(path)) and not (_is_secret(self._get(path)) and _is_secret(value)):
            raise NotEditable(f"{'.'.join(map(str, path))} is an expression")
        self._change(with_value, path, value)

    def _append(self, path: Path, value: Scalar) -> None:
        self._change(with_item, path, value)

    def _change(self, edit: Callable[[str, Path, Scalar], str], path: Path, value: Scalar) -> None:
        self.at = path
        self.text = edit(self.text, (SECTION, self.name, *path), value)
        self._read_again()

    def _remove(self, path: Path) -> None:
        self.at = path
        self.text = without(self.text, (SECTION, self.name, *path), keep=2)
        self._read_again()

    def _read_again(self) -> None:
        document = read_yaml(self.text).value
        section = document.get(SECTION) if isinstance(document, dict) else None
        self.value = section.get(self.name) if isinstance(section, dict) else None


def _is_expression(value: Value) -> bool:
    return isinstance(value, str) and not isinstance(parse(value, None, Diagnostics()), str)


def _is_secret(value: Value) -> bool:
    """Whether it is a secret as it is, and nothing else."""
    return isinstance(value, str) and _SECRET.fullmatch(value.strip()) is not None


def _as_people_write(text: str) -> Scalar:
    """A number or a boolean where that gives this very text; others mean themselves."""
    plain = read_plain(text)
    return plain if isinstance(plain, int) and as_text(plain) == text else escaped(text)
