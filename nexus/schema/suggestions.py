"""«Did you mean …?»: the nearest known word, and what other tools call the same thing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nexus.model.suggestions import nearest

_ELSEWHERE: Final = {
    "env": "env_vars",
    "envs": "env_vars",
    "environment": "env_vars",
    "installpackages": "packages",
    "dependencies": "packages",
    "files": "uploads",
    "copy": "uploads",
    "command": "start_command",
    "cmd": "start_command",
    "commands": "run_commands",
    "script": "startup_script",
    "ram": "memory",
    "memorymb": "memory",
    "cpus": "cpu",
    "cpucount": "cpu",
    "volumemounts": "volumes",
    "healthcheck": "ready",
    "base": "base_template",
    "from": "base_template",
    "foreach": "for_each",
    "if": "when",
    "replicas": "count",
    "workdir": "working_dir",
    "version": "apiVersion",
    "name": "project",
    "services": "sandboxes",
    "image": "template",
    "runtime": "template",
    "entrypoint": "start_command",
    "port": "ports",
    "expose": "ports",
    "labels": "metadata",
    "mounts": "volumes",
    "pip": "packages",
    "npm": "packages",
    "apt": "packages",
    "requirements": "packages",
    "ttl": "timeout",
    "lifetime": "timeout",
    "idletimeout": "timeout",
}


_SIZES: Final = frozenset(("cpu", "cpus", "cpucount", "memory", "memorymb", "memorymib", "ram"))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word nearest to ``word``, or "" when none is near."""
    by_form = {_form(name): name for name in known}
    form = _form(word)
    if form in by_form:
        return f'did you mean "{by_form[form]}"?'
    elsewhere = _ELSEWHERE.get(form)
    if elsewhere in by_form.values():
        return f'did you mean "{elsewhere}"?'
    if form in _SIZES and "template" in by_form.values():
        return "sizes belong to templates: declare one with cpu and memory, and name it as the template"
    close = nearest(form, by_form)
    return f'did you mean "{by_form[close]}"?' if close else ""


def _form(word: str) -> str:
    """The word without what people mix up: case, hyphens and underscores."""
    return word.lower().replace("-", "").replace("_", "")
