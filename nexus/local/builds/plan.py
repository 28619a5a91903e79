"""From steps to layers: what each step runs in and leaves for the next, and the key of the layer it makes. Pure."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nexus.local.builds.model import Step, Surroundings
from nexus.local.envd.context import PATH

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")


class StepError(Exception):
    """A step that cannot be carried out; the text is for the person who wrote the template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """``before`` is what the step runs in, ``after`` what later ones do. ``layer`` None: it touches no files.

    ``forced`` steps are made again even when their layer exists; the new one then has a key of its own.
    """

    number: int
    step: Step
    before: Surroundings
    after: Surroundings
    layer: str | None
    forced: bool


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """``key`` identifies everything that went in."""

    steps: Sequence[PlannedStep]
    surroundings: Surroundings
    key: str


def plan_build(base_key: str, start: Surroundings, steps: Sequence[Step], *, force: bool, salt: str) -> BuildPlan:
    """Plan ``steps`` on a base. ``salt`` goes into the keys of forced layers, which must not hit the cache.

    Raises StepError with the number of the first impossible step in front.
    """
    key, current, forced = base_key, start, force
    planned = []
    for number, step in enumerate(steps, start=1):
        forced = forced or step.force
        key = digest(key, step.type, list(step.args), step.files_hash or "", salt if forced else "")
        try:
            after = surroundings_after(step, current)
        except StepError as error:
            raise InvalidStepError(number, str(error)) from error
        layer = None if step.type == "ENV" else layer_id(key)
        planned.append(PlannedStep(number=number, step=step, before=current, after=after, layer=layer, forced=forced))
        current = after
    return BuildPlan(planned, current, key)


class InvalidStepError(Exception):
    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number
        self.message = message


def surroundings_after(step: Step, before: Surroundings) -> Surroundings:
    """What later steps run in. Raises StepError for wrong arguments."""
    match step.type, step.args:
        case "ENV", args if args and len(args) % 2 == 0:
            return replace(before, env=_with_variables(before.env, args))
        case "WORKDIR", (path,) if path:
            return replace(before, workdir=absolute(path, before))
        case "USER", (user,) if user:
            return replace(before, user=user.partition(":")[0])
        case "RUN", (command, *_) if command:
            return before
        case "COPY", (_source, _destination, *_) if step.files_hash:
            return before
        case (("ENV" | "WORKDIR" | "USER" | "RUN" | "COPY"), _):
            raise StepError(f"{step.type} has wrong arguments")
        case _:
            raise StepError(f"instruction {step.type} is not known")


def absolute(path: str, surroundings: Surroundings) -> str:
    """``path`` as seen from the working directory; ``~`` is the home of the user."""
    if path == "~" or path.startswith("~/"):
        path = surroundings.home + path[1:]
    joined = posixpath.join(surroundings.workdir or surroundings.home, path)
    return "/" + posixpath.normpath(joined).lstrip("/")


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def layer_id(key: str) -> str:
    return f"t{key[:31]}"


def _with_variables(env: Mapping[str, str], args: Sequence[str]) -> dict[str, str]:
    result = dict(env)
    for name, value in zip(args[::2], args[1::2], strict=True):
        result[name] = _expand(value, {"PATH": PATH, **result})
    return result


def _expand(text: str, known: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: known.get(match["braced"] or match["plain"], ""), text)
