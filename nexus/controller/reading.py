"""From a controller's document to its settings: checked as a whole, every finding with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from nexus.controller.settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_INTERVAL,
    DEFAULT_PORT,
    EnvironmentSettings,
    GitPlace,
    Key,
    Policy,
    ProjectSettings,
    Settings,
    Target,
    WebhookSettings,
)
from nexus.kinds.durations import parse_duration
from nexus.kinds.reading import InvalidValue
from nexus.manifest import DEFAULT_ENVIRONMENT, SourceMap, read_yaml
from nexus.model.diagnostics import Diagnostics, DiagnosticsError, error
from nexus.model.values import Value
from nexus.schema.findings import Path as Place
from nexus.schema.published import published_schema
from nexus.schema.walking import Walk

Block = Mapping[str, Value]
_INHERITED: Final = ("policy", "interval", "target", "deep")


def read_settings(path: Path, process: Mapping[str, str]) -> Settings:
    """What a file says. ``process`` is the environment that secrets are read from.

    Raises DiagnosticsError with all that is wrong.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise DiagnosticsError(
            error(
                "unreadable-file",
                f"{path} can't be read: {problem.strerror}",
                hint="give the file that says what to keep; docs/controller.md shows one",
            )
        ) from problem
    document = read_yaml(content, path.name)
    found = Diagnostics(list(document.diagnostics))
    found.raise_if_errors()
    places = SourceMap(document.spot)
    walk = Walk(expressions=False)
    walk.check(published_schema("controller"), document.value, ())
    for finding in walk.findings:
        where = places.key(finding.path) if finding.at_key else None
        found.add(error(finding.code, finding.message, hint=finding.hint, range=where or places(finding.path)))
    found.raise_if_errors()
    reading = _Reading(cast(Block, document.value), places, path.absolute().parent, process, found)
    settings = reading.settings()
    found.raise_if_errors()
    return settings


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of one document that fits its schema. What a schema can't say is added to ``found``."""

    document: Block
    places: SourceMap
    folder: Path
    process: Mapping[str, str]
    found: Diagnostics

    def settings(self) -> Settings:
        host, port = self._listen()
        hooks = cast(list[Block], self.document.get("webhooks") or [])
        projects = cast(Mapping[str, Block], self.document["projects"])
        return Settings(
            projects=tuple(self._project(name, block) for name, block in projects.items()),
            host=host,
            port=port,
            concurrency=cast(int, self.document.get("concurrency", DEFAULT_CONCURRENCY)),
            webhooks=tuple(self._webhook(index, hook) for index, hook in enumerate(hooks)),
        )

    def _listen(self) -> tuple[str, int]:
        said = self.document.get("listen", f"127.0.0.1:{DEFAULT_PORT}")
        if not isinstance(said, str):
            return "", 0
        try:
            return parse_address(said)
        except ValueError as problem:
            self._wrong("invalid-value", ("listen",), str(problem))
            return "", 0

    def _project(self, name: str, block: Block) -> ProjectSettings:
        base = {**{key: self.document[key] for key in _INHERITED if key in self.document}, **block}
        environments = cast(Mapping[str, Block | None], block.get("environments") or {DEFAULT_ENVIRONMENT: None})
        return ProjectSettings(
            name=name,
            place=self._place(name, block),
            environments=tuple(
                self._environment(Key(name, environment), base, own or {}) for environment, own in environments.items()
            ),
        )

    def _place(self, name: str, block: Block) -> Path | GitPlace:
        folder, git = block.get("folder"), block.get("git")
        if (folder is None) == (git is None):
            code = "missing-field" if folder is None else "conflicting-fields"
            self._wrong(code, ("projects", name), f"The project {name} needs either a folder or git")
        if not isinstance(git, dict):
            return self.folder / str(folder)
        if "branch" in git and "tag" in git:
            self._wrong(
                "conflicting-fields", ("projects", name, "git"), "A project follows a branch or a tag, not both"
            )
        signers = git.get("allowed_signers")
        return GitPlace(
            url=str(git["url"]),
            branch="" if "tag" in git else str(git.get("branch", "main")),
            tag=str(git.get("tag", "")),
            path=str(git.get("path", "")),
            verify=git.get("verify") is True,
            allowed_signers=None if signers is None else self.folder / str(signers),
        )

    def _environment(self, key: Key, base: Block, own: Block) -> EnvironmentSettings:
        merged = {**base, **own}
        target = merged.get("target")
        return EnvironmentSettings(
            key=key,
            policy=Policy(str(merged.get("policy", Policy.AUTO))),
            interval=self._interval(key, merged),
            variables={**cast(Block, base.get("variables") or {}), **cast(Block, own.get("variables") or {})},
            target=None if target is None else cast(Target, target),
            deep=merged.get("deep") is True,
        )

    def _interval(self, key: Key, block: Block) -> float:
        try:
            return float(parse_duration(block.get("interval", int(DEFAULT_INTERVAL))))
        except InvalidValue as problem:
            self._wrong("invalid-value", ("projects", key.project, "interval"), f"interval must be {problem}")
            return DEFAULT_INTERVAL

    def _webhook(self, index: int, hook: Block) -> WebhookSettings:
        place: Place = ("webhooks", index)
        url = hook["url"]
        secret = hook.get("secret")
        return WebhookSettings(
            url=url if isinstance(url, str) else self._outside(cast(Block, url), (*place, "url")),
            secret="" if secret is None else self._outside(cast(Block, secret), (*place, "secret")),
            kinds=frozenset(cast(list[str], hook.get("events") or [])),
        )

    def _outside(self, source: Block, place: Place) -> str:
        """A text that is not in the document, because it is a secret."""
        if "env" in source:
            text = self.process.get(str(source["env"]), "")
        else:
            try:
                text = (self.folder / str(source["file"])).read_text(encoding="utf-8").removesuffix("\n")
            except (OSError, UnicodeDecodeError):
                text = ""
        if not text:
            where = f"the environment variable {source['env']}" if "env" in source else f"the file {source['file']}"
            self._wrong("secret-unavailable", place, f"There is nothing in {where}")
        return text

    def _wrong(self, code: str, place: Place, message: str) -> None:
        self.found.add(error(code, message, range=self.places(place)))


def parse_address(text: str) -> tuple[str, int]:
    """The parts of ``HOST:PORT``, where an IPv6 address has brackets. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"HOST:PORT is expected, such as 127.0.0.1:{DEFAULT_PORT}, not {text}")
    return host.strip("[]"), int(port)
