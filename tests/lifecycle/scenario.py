"""One project on the session's engine: its folder, runs of nexus on it, and what is there as E2B's own SDK sees it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from e2b import Sandbox, SandboxInfo, SandboxQuery
from e2b.sandbox.commands.command_handle import CommandExitException

from nexus.local.daemon import Endpoint
from tests.processes import Outcome, Preparation, Run, start, start_afresh

_OWN_SETTINGS = ("NEXUS_", "E2B_")


class Scenario:
    """A project whose name no other test has, so that all tests can share one engine and one account."""

    def __init__(self, folder: Path, engine: Endpoint, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.engine = engine
        self.project = f"t{secrets.token_hex(5)}"
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith(_OWN_SETTINGS)},
            "NEXUS_HOME": str(engine.home),
            "NEXUS_TARGET": "local",
            "NO_COLOR": "1",
            "COLUMNS": "200",
            **(environment or {}),
        }
        self.said: list[str] = []

    # ---- the project

    def write(self, text: str) -> None:
        """The manifest, without its first two lines."""
        self.file("nexus.yaml", f"apiVersion: nexus/v1\nproject: {self.project}\n{text}")

    def file(self, path: str, content: str) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)

    def copy(self, example: Path) -> None:
        """An example's files, under this project's name."""
        shutil.copytree(example, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".nexus"))
        manifest = self.folder / "nexus.yaml"
        name = yaml.safe_load(manifest.read_text())["project"]
        manifest.write_text(manifest.read_text().replace(f"project: {name}\n", f"project: {self.project}\n", 1))

    # ---- runs

    def start(self, *arguments: str, prepare: Preparation | None = None, **environment: str) -> Run:
        return start(("-C", str(self.folder), *arguments), {**self.environment, **environment}, prepare)

    def run(self, *arguments: str, **environment: str) -> Outcome:
        return self.heard(self.start(*arguments, **environment).wait())

    def run_afresh(self, *arguments: str, **environment: str) -> Outcome:
        """``python -m nexus`` as a user starts it."""
        run = start_afresh(("-C", str(self.folder), *arguments), {**self.environment, **environment})
        return self.heard(run.wait())

    def heard(self, outcome: Outcome) -> Outcome:
        self.said.append(outcome.text)
        return outcome

    def apply(self, *arguments: str, **environment: str) -> Outcome:
        return self.run("apply", "-y", *arguments, **environment)

    def destroy(self) -> Outcome:
        return self.run("destroy", "-y")

    def plan(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """The plan's document."""
        document: dict[str, Any] = self.run("plan", "--json", *arguments, **environment).expect(0).json
        return document

    def actions(self, *arguments: str, **environment: str) -> dict[str, str]:
        """What the plan does to each address."""
        return {change["address"]: change["action"] for change in self.plan(*arguments, **environment)["changes"]}

    def expect_no_changes(self, **environment: str) -> None:
        self.run("plan", "--detailed-exitcode", **environment).expect(0)

    # ---- what is really there

    @property
    def options(self) -> dict[str, Any]:
        engine = self.engine
        return {"api_key": engine.api_key, "api_url": engine.api_url, "sandbox_url": engine.sandbox_url}

    def live(self) -> dict[str, list[SandboxInfo]]:
        """All sandboxes of this project, running or paused, by address."""
        found: dict[str, list[SandboxInfo]] = defaultdict(list)
        pages = Sandbox.list(query=SandboxQuery(metadata={"nexus.project": self.project}), **self.options)
        while pages.has_next:
            for info in pages.next_items():
                found[info.metadata["nexus.address"]].append(info)
        return dict(found)

    def only(self, address: str) -> SandboxInfo:
        """The one sandbox of this address."""
        (info,) = self.live()[address]
        return info

    def id_of(self, address: str) -> str:
        return self.only(address).sandbox_id

    def expect_live(self, *addresses: str) -> None:
        """Exactly one sandbox for each of these, and nothing else."""
        counts = {address: len(found) for address, found in self.live().items()}
        assert counts == dict.fromkeys(addresses, 1)

    def templates(self) -> list[dict[str, Any]]:
        """The templates that this project has in the account."""
        listed = self._get("/templates")
        return [item for item in listed if any(name.startswith(f"{self.project}--") for name in item["names"])]

    def tags(self, template_id: str) -> list[dict[str, Any]]:
        """Each tag of a template with the build that it points at."""
        return self._get(f"/templates/{template_id}/tags")

    def volumes(self) -> list[str]:
        return [item["name"] for item in self._get("/volumes") if item["name"].startswith(f"{self.project}--")]

    def expect_nothing_left(self) -> None:
        assert (self.live(), self.templates(), self.volumes()) == ({}, [], [])

    def sandbox(self, address: str) -> Sandbox:
        return Sandbox.connect(self.id_of(address), **self.options)

    def inside(self, address: str, command: str, user: str = "user") -> str:
        """What a command in the sandbox writes, which must succeed. Runs in a login shell, as nexus' own do."""
        try:
            result = self.sandbox(address).commands.run(command, user=user)
        except CommandExitException as failed:
            raise AssertionError(f"{command}: {failed.exit_code}\n{failed.stdout}\n{failed.stderr}") from None
        return result.stdout.strip()

    def kill(self, address: str) -> None:
        """Behind nexus' back."""
        assert Sandbox.kill(self.id_of(address), **self.options)

    def _get(self, path: str) -> list[dict[str, Any]]:
        response = httpx.get(f"{self.engine.api_url}{path}", headers={"X-API-KEY": self.engine.api_key}, timeout=60)
        response.raise_for_status()
        listed: list[dict[str, Any]] = response.json()
        return listed

    def clean_up(self) -> None:
        """Remove all that is there, whatever the state of the project says."""
        for found in self.live().values():
            for info in found:
                Sandbox.kill(info.sandbox_id, **self.options)
        with httpx.Client(base_url=self.engine.api_url, headers={"X-API-KEY": self.engine.api_key}) as client:
            for template in self.templates():
                client.delete(f"/templates/{template['templateID']}").raise_for_status()
            for volume in self._get("/volumes"):
                if volume["name"].startswith(f"{self.project}--"):
                    client.delete(f"/volumes/{volume['volumeID']}").raise_for_status()
