"""Projects that change at random: every kind of block and field, in variants that cost little, always without errors.

What is drawn comes of one ``random.Random``, so a seed (or Hypothesis) decides everything.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

Block = dict[str, Any]

UPLOADED: Final = "uploaded-secret"
"""The name of the one file that is declared to hold a secret."""

_FIELDS: Final[dict[str, list[Any]]] = {
    "timeout": ["20m", "30m", "40m"],
    "env_vars": [{"A": "one"}, {"A": "two", "B": "x"}, {"A": "one", "TOKEN": "${{ secrets.TOKEN }}"}],
    "uploads": [
        [{"path": "/srv/note", "content": "one"}],
        [{"path": "/srv/note", "content": "two", "mode": "0640"}, {"path": "/srv/other", "content": "x"}],
        [{"path": f"/srv/{UPLOADED}", "content": "key=${{ secrets.TOKEN }}"}],
    ],
    "run_commands": [
        ["echo one >> /srv/log"],
        ["echo one >> /srv/log", "echo two >> /srv/log"],
        ["echo two >> /srv/log"],
    ],
    "startup_script": ["echo started > /srv/started", "echo again > /srv/started"],
    "start_command": ["exec sleep 54321", "exec sleep 65432"],
    "ready": [{"command": "true"}, {"command": "test -d /srv", "timeout": 60}],
    "metadata": [{"team": "one"}, {"team": "two"}],
    "network": [{"deny": ["10.0.0.0/8"]}, {"internet": False}],
    "ports": [{"api": 8000}, {"api": 8000, "web": 8001}],
    "on_timeout": ["pause"],
    "timeouts": [{"setup": "5m"}],
    "setup": ["shared", "each"],
    "depends_on": [True],
}
"""What each field of a sandbox may be. ``depends_on`` stands for a reference to some block before it."""

_LIFECYCLE: Final[dict[str, list[Any]]] = {
    "create_before_destroy": [True],
    "on_destroy": ["pause", "snapshot"],
    "ignore_changes": [["metadata"], ["env_vars.B"]],
    "replace_on": [["run_commands"]],
    "precondition": [[{"condition": "${{ 1 < 2 }}", "error_message": "never"}]],
    "postcondition": [[{"condition": "${{ self.id != '' }}", "error_message": "${{ self.id }} is nothing"}]],
}

_TEMPLATE: Final[dict[str, list[Any]]] = {
    "run_commands": [["echo one > /opt/built"], ["echo two > /opt/built"]],
    "env_vars": [{"T": "one"}, {"T": "two"}],
    "tags": [["v1"], ["v1", "v2"], ["v2"]],
}

_COUNTS: Final = (0, 1, 2, 3, 3)


@dataclass(slots=True)
class Draft:
    """A project that can be written as a manifest. Names are never used again, so that a move is always possible.

    Every block carries ``x-…`` keys for what is only decided when it is written, because it depends on other blocks.
    """

    sandboxes: dict[str, Block] = field(default_factory=dict)
    templates: dict[str, Block] = field(default_factory=dict)
    volumes: dict[str, Block] = field(default_factory=dict)
    steps: dict[str, Block] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    made: int = 0
    most: int = 3
    """Sandbox blocks at once."""

    # ---- as a manifest

    def text(self) -> str:
        """Without its first two lines."""
        document = {
            "secrets": {"TOKEN": {"env": "TOKEN"}},
            "volumes": self.volumes,
            "templates": {name: dict(block) for name, block in self.templates.items()},
            "sandboxes": {name: self._sandbox(name) for name in self.sandboxes},
            "pipelines": {"p": {"steps": self._steps()}},
            "moved": self.moved,
        }
        if not document["pipelines"]["p"]["steps"]:  # type: ignore[index]
            del document["pipelines"]
        return yaml.safe_dump({key: value for key, value in document.items() if value}, sort_keys=False)

    def copy(self) -> Draft:
        return copy.deepcopy(self)

    def addresses(self) -> set[str]:
        """Of all sandboxes that are to live."""
        found: set[str] = set()
        for name, block in self.sandboxes.items():
            count = block.get("count")
            keys = [""] if count is None else [f'["{key}"]' for key in range(count)]
            found.update(f"sandbox.{name}{key}" for key in keys)
        return found

    def _sandbox(self, name: str) -> Block:
        block = copy.deepcopy(self.sandboxes[name])
        if block.pop("x-tool", False) and self.templates:
            block["template"] = f"${{{{ template.{next(iter(self.templates))} }}}}"
        if block.pop("x-disk", False) and self.volumes:
            block["volumes"] = {"/data": f"${{{{ volume.{next(iter(self.volumes))} }}}}"}
        if block.pop("depends_on", False):
            self._refer(name, block)
        if block.get("setup") and not _has_work_to_share(block):
            del block["setup"]
        return block

    def _refer(self, name: str, block: Block) -> None:
        """To the block before this one, if there is any."""
        names = list(self.sandboxes)
        before = names[names.index(name) - 1] if names.index(name) else None
        if before is None:
            return
        if self.sandboxes[before].get("count") is None:
            block["env_vars"] = {**block.get("env_vars", {}), "REF": f"${{{{ sandbox.{before}.id }}}}"}
        else:
            block["depends_on"] = [f"sandbox.{before}"]

    def _steps(self) -> Block:
        names = list(self.sandboxes)
        return {
            name: {"sandbox": names[block["x-at"] % len(names)], "run": block["run"], **_without_marks(block)}
            for name, block in self.steps.items()
            if names
        }

    # ---- at random

    def change(self, chance: random.Random) -> str:
        """One edit; what it was, in words."""
        edits = [self._add, self._edit, self._edit, self._edit, self._remove, self._rename, self._recount]
        edits += [self._edit_template, self._edit_volume, self._edit_step, self._drop_field]
        return chance.choice(edits)(chance)

    def _new_name(self) -> str:
        self.made += 1
        return f"n{self.made}"

    def _add(self, chance: random.Random) -> str:
        if len(self.sandboxes) >= self.most:
            return self._edit(chance)
        name = self._new_name()
        block: Block = {"timeout": "20m"}
        for field_name in chance.sample(sorted(_FIELDS), chance.randint(0, 6)):
            block[field_name] = copy.deepcopy(chance.choice(_FIELDS[field_name]))
        block["x-tool"], block["x-disk"] = chance.random() < 0.3, chance.random() < 0.2
        if chance.random() < 0.3:
            block["count"] = chance.choice(_COUNTS)
        self.sandboxes[name] = block
        return f"add {name}"

    def _some(self, chance: random.Random) -> str | None:
        return chance.choice(list(self.sandboxes)) if self.sandboxes else None

    def _edit(self, chance: random.Random) -> str:
        if (name := self._some(chance)) is None:
            return self._add(chance)
        block = self.sandboxes[name]
        if chance.random() < 0.25:
            key = chance.choice(sorted(_LIFECYCLE))
            block.setdefault("lifecycle", {})[key] = copy.deepcopy(chance.choice(_LIFECYCLE[key]))
            return f"{name}.lifecycle.{key}"
        if chance.random() < 0.15:
            mark = chance.choice(["x-tool", "x-disk"])
            block[mark] = not block.get(mark)
            return f"{name} {mark}"
        key = chance.choice(sorted(_FIELDS))
        block[key] = copy.deepcopy(chance.choice(_FIELDS[key]))
        return f"{name}.{key}"

    def _drop_field(self, chance: random.Random) -> str:
        name = self._some(chance)
        if name is None or not (keys := sorted(self.sandboxes[name].keys() - {"timeout", "count"})):
            return self._add(chance)
        key = chance.choice(keys)
        del self.sandboxes[name][key]
        return f"drop {name}.{key}"

    def _recount(self, chance: random.Random) -> str:
        if (name := self._some(chance)) is None:
            return self._add(chance)
        block = self.sandboxes[name]
        if "count" in block and chance.random() < 0.3:
            del block["count"]
        else:
            block["count"] = chance.choice(_COUNTS)
        return f"{name}.count {block.get('count')}"

    def _remove(self, chance: random.Random) -> str:
        if (name := self._some(chance)) is None:
            return self._add(chance)
        del self.sandboxes[name]
        return f"remove {name}"

    def _rename(self, chance: random.Random) -> str:
        """With ``moved`` or without; earlier moves lead to the newest name."""
        if (name := self._some(chance)) is None:
            return self._add(chance)
        new = self._new_name()
        self.sandboxes = {new if key == name else key: block for key, block in self.sandboxes.items()}
        if chance.random() < 0.7:
            old, now = f"sandbox.{name}", f"sandbox.{new}"
            self.moved = {was: now if to == old else to for was, to in self.moved.items()} | {old: now}
            return f"move {name} to {new}"
        return f"rename {name} to {new}"

    def _edit_template(self, chance: random.Random) -> str:
        if self.templates and chance.random() < 0.15:
            self.templates.clear()
            return "remove the template"
        if not self.templates:
            self.templates["tool"] = {"base_template": "base", "run_commands": ["echo one > /opt/built"]}
            return "add a template"
        key = chance.choice(sorted(_TEMPLATE))
        self.templates["tool"][key] = copy.deepcopy(chance.choice(_TEMPLATE[key]))
        return f"template.{key}"

    def _edit_volume(self, chance: random.Random) -> str:
        if self.volumes:
            self.volumes.clear()
            return "remove the volume"
        self.volumes["disk"] = {}
        return "add a volume"

    def _edit_step(self, chance: random.Random) -> str:
        if self.steps and chance.random() < 0.2:
            name = chance.choice(sorted(self.steps))
            del self.steps[name]
            for block in self.steps.values():
                block.pop("needs", None)
            return f"remove step {name}"
        name = chance.choice(["first", "second"])
        block: Block = {"x-at": chance.randint(0, 2), "run": f"echo {chance.randint(1, 3)} > /home/user/{name}"}
        if chance.random() < 0.5:
            block["outputs"] = {"made": f"/home/user/{name}"}
        if chance.random() < 0.3:
            block["env_vars"] = {"KEY": "${{ secrets.TOKEN }}"}
        if name == "second" and "first" in self.steps:
            block["needs"] = ["first"]
        self.steps[name] = block
        return f"step {name}"


def _has_work_to_share(block: Block) -> bool:
    """Work that lies in a volume is none: a snapshot has not got it."""
    return (
        block.get("count") is not None and not block.get("volumes") and bool(block.keys() & {"uploads", "run_commands"})
    )


def _without_marks(block: Block) -> Block:
    return {key: value for key, value in block.items() if not key.startswith("x-")}
