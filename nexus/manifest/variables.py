"""Variables: what the manifest declares, and the values that they have in one run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nexus.manifest.loading import Manifest
from nexus.manifest.source_map import SourceMap
from nexus.manifest.yaml_reader import Plain, read_yaml
from nexus.model.diagnostics import Diagnostic, Diagnostics, SourceRange, error
from nexus.model.suggestions import nearest
from nexus.model.values import Value

DEFAULT_ENVIRONMENT: Final = "default"
PREFIX: Final = "NEXUS_VAR_"
TYPES: Final = ("string", "integer", "number", "boolean", "list", "map", "object")


class _Unfit(ValueError):  # noqa: N818 - it says what the value is, as ValueError does
    """The value is not what its variable takes; the message completes «it must be»."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A declaration. ``type`` is one of TYPES, with map for object, or "" where anything goes."""

    name: str
    type: str = ""
    default: Plain = None
    has_default: bool = False
    enum: tuple[Plain, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""

    def fit(self, value: Plain) -> Plain:
        """The value, when this variable takes it. Raises ValueError with a message for people."""
        _check_type(self.type, value)
        if self.enum and value not in self.enum:
            raise _Unfit(f"one of {', '.join(map(_shown, self.enum))}, not {_shown(value)}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.minimum is not None and value < self.minimum:
                raise _Unfit(f"at least {self.minimum:g}, not {value:g}")
            if self.maximum is not None and value > self.maximum:
                raise _Unfit(f"at most {self.maximum:g}, not {value:g}")
        if self.pattern and isinstance(value, str) and not re.search(self.pattern, value):
            raise _Unfit(f"a text that matches {self.pattern}, not {_shown(value)}")
        return value

    def convert(self, text: str) -> Plain:
        """The value of a text from the environment or the command line, by the declared type. Raises ValueError."""
        match self.type:
            case "" | "string":
                return self.fit(text)
            case "integer" if re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", text):
                return self.fit(int(text))
            case "number" if re.fullmatch(r"\s*[-+]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?\s*", text):
                return self.fit(int(text) if re.fullmatch(r"\s*[-+]?[0-9]+\s*", text) else float(text))
            case "boolean" if text.strip().lower() in ("true", "false"):
                return self.fit(text.strip().lower() == "true")
            case "list" | "map":
                return self.fit(read_yaml(text).value)
            case _:
                raise _Unfit(f"of type {self.type}, not {_shown(text)}")


def declared_variables(manifest: Manifest) -> dict[str, Variable]:
    """The section ``variables``, as far as it makes sense: the schema reports what does not."""
    found: dict[str, Variable] = {}
    for name, block in manifest.section("variables").items():
        fields = block if isinstance(block, dict) else {}
        default, enum, pattern = fields.get("default"), fields.get("enum"), fields.get("pattern")
        found[name] = Variable(
            name=name,
            type=_type(fields.get("type"), default),
            default=default,
            has_default="default" in fields,
            enum=tuple(enum) if isinstance(enum, list) else (),
            minimum=_number(fields.get("minimum")),
            maximum=_number(fields.get("maximum")),
            pattern=pattern if isinstance(pattern, str) and _is_pattern(pattern) else "",
        )
    return found


def _type(written: Plain, default: Plain) -> str:
    if isinstance(written, str):
        return {"object": "map"}.get(written, written if written in TYPES else "")
    match default:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "list"
        case dict():
            return "map"
        case _:
            return ""


def check_variables(manifest: Manifest) -> Iterator[Diagnostic]:
    """What is wrong with declarations, and with the values that environments give, whether they are used or not."""
    declared = declared_variables(manifest)
    for name, variable in declared.items():
        block = manifest.section("variables")[name]
        if isinstance(block, dict):
            yield from _check_declaration(variable, block, manifest.places)
    for environment, values in manifest.section("environments").items():
        for name, value in (values if isinstance(values, dict) else {}).items():
            path = ("environments", environment, name)
            if name not in declared:
                yield _undeclared(name, declared, manifest.places.key(path))
            else:
                yield from _fits(declared[name], value, manifest.places.value(path))


def _check_declaration(variable: Variable, block: Mapping[str, Plain], places: SourceMap) -> Iterator[Diagnostic]:
    path = ("variables", variable.name)
    pattern = block.get("pattern")
    if isinstance(pattern, str) and not _is_pattern(pattern):
        yield error("invalid-value", f"{pattern} is not a regular expression", range=places.value((*path, "pattern")))
    if variable.has_default:
        yield from _fits(variable, variable.default, places.value((*path, "default")))


def _fits(variable: Variable, value: Plain, place: SourceRange | None) -> Iterator[Diagnostic]:
    if isinstance(value, str) and "${{" in value:
        return  # the schema refuses expressions here
    try:
        variable.fit(value)
    except _Unfit as problem:
        yield _unfit(variable, problem, place)


def resolve_variables(
    manifest: Manifest,
    environment: str = DEFAULT_ENVIRONMENT,
    *,
    process: Mapping[str, str] | None = None,
    files: Sequence[Path] = (),
    assignments: Sequence[str] = (),
) -> tuple[dict[str, Value], tuple[Diagnostic, ...]]:
    """The variables' values, and what is wrong. Later wins: default, environment, process, files, assignments.

    ``process`` is searched for NEXUS_VAR_name; ``files`` are YAML or JSON mappings; ``assignments`` are texts such as
    ``stage=prod``. What declarations and environments say themselves is :func:`check_variables`' to report.
    """
    resolving = _Resolving(declared_variables(manifest))
    resolving.take_defaults()
    resolving.take_environment(manifest, environment)
    resolving.take_process(process or {})
    for path in files:
        resolving.take_file(path)
    for text in assignments:
        resolving.take_assignment(text)
    resolving.require_values(manifest)
    return resolving.values, tuple(resolving.diagnostics)


@dataclass(slots=True)
class _Resolving:
    declared: Mapping[str, Variable]
    values: dict[str, Value] = field(default_factory=dict)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    failed: set[str] = field(default_factory=set)

    def take_defaults(self) -> None:
        self.values.update((name, item.default) for name, item in self.declared.items() if item.has_default)

    def take_environment(self, manifest: Manifest, name: str) -> None:
        environments = manifest.section("environments")
        if name not in environments and name != DEFAULT_ENVIRONMENT and not manifest.overlay:
            self.diagnostics.add(
                error(
                    "unknown-environment",
                    f"The manifest declares no environment {name}",
                    hint=_did_you_mean(name, environments) or "declare it under environments",
                    range=manifest.places.key(("environments",)),
                )
            )
        values = environments.get(name)
        for variable, value in (values if isinstance(values, dict) else {}).items():
            if variable in self.declared:
                self.values[variable] = value

    def take_process(self, process: Mapping[str, str]) -> None:
        for name, variable in self.declared.items():
            text = process.get(PREFIX + name)
            if text is not None:
                self._take_text(variable, text, PREFIX + name)

    def take_file(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as problem:
            hint = "name a file of YAML or JSON, a line for each variable such as replicas: 4"
            self.diagnostics.add(error("unreadable-file", f"{path} can't be read: {problem.strerror}", hint=hint))
            return
        document = read_yaml(content, str(path))
        self.diagnostics.extend(document.diagnostics)
        if document.diagnostics:
            return
        if not isinstance(document.value, dict):
            self.diagnostics.add(error("wrong-type", f"{path} is not a mapping of variables"))
            return
        places = SourceMap(document.spot)
        for name, value in document.value.items():
            variable = self.declared.get(name)
            if variable is None:
                self.diagnostics.add(_undeclared(name, self.declared, places.key((name,))))
                continue
            problems = list(_fits(variable, value, places.value((name,))))
            self.diagnostics.extend(problems)
            self._set(variable, value, failed=bool(problems))

    def take_assignment(self, text: str) -> None:
        name, equals, value = text.partition("=")
        variable = self.declared.get(name.strip())
        if not equals:
            self.diagnostics.add(error("invalid-value", f"{text!r} is not an assignment such as name=value"))
        elif variable is None:
            self.diagnostics.add(_undeclared(name.strip(), self.declared, None))
        else:
            self._take_text(variable, value, "--var")

    def require_values(self, manifest: Manifest) -> None:
        for name in self.declared:
            if name not in self.values and name not in self.failed:
                self.diagnostics.add(
                    error(
                        "missing-variable",
                        f"The variable {name} has no value",
                        hint=f"give it one with --var {name}=…, {PREFIX}{name}, an environment, or a default",
                        range=manifest.places.key(("variables", name)),
                    )
                )

    def _take_text(self, variable: Variable, text: str, source: str) -> None:
        try:
            self._set(variable, variable.convert(text))
        except _Unfit as problem:
            self.diagnostics.add(_unfit(variable, problem, None, source))
            self.failed.add(variable.name)

    def _set(self, variable: Variable, value: Plain, *, failed: bool = False) -> None:
        if failed:
            self.failed.add(variable.name)
        else:
            self.values[variable.name] = value


def _undeclared(name: str, declared: Mapping[str, Variable], place: SourceRange | None) -> Diagnostic:
    return error(
        "unknown-variable",
        f"There is no variable {name}",
        hint=_did_you_mean(name, declared) or "declare it under variables",
        range=place,
    )


def _unfit(variable: Variable, problem: _Unfit, place: SourceRange | None, source: str = "") -> Diagnostic:
    given = f" ({source})" if source else ""
    return error("invalid-variable", f"The variable {variable.name}{given} must be {problem}", range=place)


def _did_you_mean(name: str, known: Mapping[str, object]) -> str:
    close = nearest(name, known)
    return f'did you mean "{close}"?' if close else ""


def _check_type(type_: str, value: Plain) -> None:
    match type_:
        case "string":
            fits = isinstance(value, str)
        case "integer":
            fits = isinstance(value, int) and not isinstance(value, bool)
        case "number":
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            fits = isinstance(value, bool)
        case "list":
            fits = isinstance(value, list)
        case "map":
            fits = isinstance(value, dict)
        case _:
            fits = True
    if not fits:
        raise _Unfit(f"of type {type_}, not {_shown(value)}")


def _is_pattern(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _number(value: Plain) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _shown(value: Plain) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
