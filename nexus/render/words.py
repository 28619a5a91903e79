"""Operations in words: what is going on, and what was done."""

from __future__ import annotations

from typing import Final, assert_never

from nexus.model.changes import Action, Operation, Verb
from nexus.model.resources import OnDestroy

QUIET_VERBS: Final = frozenset({Verb.ARM, Verb.RECORD, Verb.FORGET, Verb.CHECK})
"""Bookkeeping: nothing that a person waits for."""

DOING: Final = {
    Action.CREATE: "creating",
    Action.UPDATE: "updating",
    Action.REPLACE: "replacing",
    Action.DELETE: "deleting",
    Action.RUN: "running",
    Action.RESUME: "resuming",
    Action.EXTEND: "extending",
    Action.ADOPT: "adopting",
    Action.FORGET: "forgetting",
    Action.RELEASE: "releasing",
    Action.REFRESH: "taking in",
}

DONE: Final = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.REPLACE: "replaced",
    Action.DELETE: "deleted",
    Action.RUN: "run",
    Action.RESUME: "resumed",
    Action.EXTEND: "extended",
    Action.ADOPT: "adopted",
    Action.FORGET: "forgotten",
    Action.RELEASE: "released",
    Action.REFRESH: "taken in",
}


def doing(operation: Operation, action: Action | None = None) -> str:
    """``installing pip packages``. ``action`` is what happens to the resource as a whole."""
    return _words(operation, action)[0]


def done(operation: Operation, action: Action | None = None) -> str:
    """``installed pip packages``."""
    return _words(operation, action)[1]


def _words(operation: Operation, action: Action | None) -> tuple[str, str]:
    unit = operation.unit
    match operation.verb:
        case Verb.CREATE | Verb.BUILD if operation.address.kind == "template" and unit:
            return f"taking over {unit}", f"took over {unit}"
        case Verb.CREATE if operation.address.kind in ("catalogue", "template"):
            return "building", "built"
        case Verb.CREATE | Verb.BUILD if operation.address.kind == "setup":
            return "setting up once for all", "set up once for all"
        case Verb.CREATE:
            again = " the new one" if action is Action.REPLACE else ""
            return f"creating{again}", f"created{again}"
        case Verb.DELETE if unit == OnDestroy.PAUSE:
            return "pausing and releasing", "paused and released"
        case Verb.DELETE:
            old = " the old one" if action is Action.REPLACE else ""
            return f"deleting{old}", f"deleted{old}"
        case Verb.BUILD:
            return "building", "built"
        case Verb.ARM:
            return "setting its time to live", "set its time to live"
        case Verb.EXTEND:
            return "extending its time to live", "extended its time to live"
        case Verb.RESUME:
            return "resuming", "resumed"
        case Verb.SET_NETWORK:
            return "setting network rules", "set network rules"
        case Verb.SET_ENV:
            return "setting variables", "set variables"
        case Verb.INSTALL:
            return f"installing {unit} packages", f"installed {unit} packages"
        case Verb.UPLOAD:
            return "uploading files", "uploaded files"
        case Verb.RUN_COMMAND:
            return f"running {unit}", f"ran {unit}"
        case Verb.START:
            return "starting its start_command", "started its start_command"
        case Verb.AWAIT_READY:
            return "waiting until it is ready", "is ready"
        case Verb.SET_TAGS:
            return "moving tags", "moved tags"
        case Verb.SET_PUBLIC:
            return "changing its visibility", "changed its visibility"
        case Verb.RUN_STEP:
            return "running", "ran"
        case Verb.FORGET:
            return "forgetting", "forgot"
        case Verb.ADOPT:
            return f"taking over {unit}", f"took over {unit}"
        case Verb.RECORD:
            return "recording", "recorded"
        case Verb.CHECK:
            return f"checking its {unit}s", f"checked its {unit}s"
        case Verb.REFRESH:
            return "taking in what is out there", "took in what is out there"
        case _:
            assert_never(operation.verb)
