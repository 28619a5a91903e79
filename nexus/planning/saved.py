"""Saved plans: a plan as a JSON document that reads back as the same plan, and what has changed since it was made.

The document is the public one of ``nexus plan --json`` with what an apply needs besides: values in their lossless form
(a fingerprint for a secret, a mark for what is unknown), the state that it was made for, options and variables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nexus.model.addresses import Address, AddressError
from nexus.model.changes import PLAN_VERSION, Action, Change, Effect, FieldDiff, Operation, Plan, PlanOptions, Verb
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, Severity, SourcePos, SourceRange, error
from nexus.model.state import Target
from nexus.model.values import Value, from_json, to_json

Json = dict[str, object]
Encode = Callable[[Value], object]


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan that was read from a file."""

    plan: Plan

    @property
    def options(self) -> PlanOptions:
        return self.plan.options


# ---- writing


def format_saved(plan: Plan) -> str:
    """The text of a plan's file. Holds no secret: a plan knows only their fingerprints."""
    document = plan_to_json(plan)
    document["digest"] = _digest(document)
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def plan_to_json(plan: Plan) -> Json:
    """The document without its digest."""
    document = public_plan(plan, to_json)
    document["operations"] = [
        {
            **operation_to_json(operation),
            "uid": operation.uid or None,
            "force": operation.force,
            "limit": operation.limit,
        }
        for operation in plan.operations
    ]
    return {
        **document,
        "lineage": plan.lineage,
        "base_serial": plan.base_serial,
        "options": _options(plan.options),
        "variables": {name: to_json(value) for name, value in plan.variables.items()},
    }


def public_plan(plan: Plan, encode: Encode) -> Json:
    """What a saved plan and the one that readers get have in common. ``encode`` gives values their form."""
    return {
        "format_version": plan.version,
        "project": plan.project,
        "environment": plan.environment,
        "target": {"kind": plan.target.kind, "account": plan.target.account},
        "changes": [change_to_json(change, encode) for change in plan.changes],
        "operations": [operation_to_json(operation) for operation in plan.operations],
        "summary": plan.summary,
        "diagnostics": [diagnostic_to_json(item) for item in plan.diagnostics],
    }


def change_to_json(change: Change, encode: Encode) -> Json:
    source = change.source
    return {
        "address": str(change.address),
        "kind": change.address.kind,
        "action": change.action.value,
        "cause": change.cause,
        "data_loss": change.data_loss,
        "fields": [field_to_json(diff, encode) for diff in change.fields],
        "source": None
        if source is None
        else {"file": source.file, "line": source.start.line, "column": source.start.column},
    }


def field_to_json(diff: FieldDiff, encode: Encode) -> Json:
    return {
        "path": diff.path,
        "before": encode(diff.before),
        "after": encode(diff.after),
        "effect": diff.effect.value,
        "unknown": diff.unknown,
        "sensitive": diff.sensitive,
        "note": diff.note,
    }


def operation_to_json(operation: Operation) -> Json:
    return {
        "id": operation.id,
        "verb": operation.verb.value,
        "address": str(operation.address),
        "unit": operation.unit or None,
        "needs": list(operation.needs),
        "cause": operation.cause,
    }


def diagnostic_to_json(item: Diagnostic) -> Json:
    place = item.range
    return {
        "severity": item.severity.value,
        "code": item.code,
        "error_code": item.error_code,
        "summary": item.summary,
        "detail": item.detail,
        "hint": item.hint,
        "address": item.address or None,
        "range": None
        if place is None
        else {"file": place.file, "start": _position(place.start), "end": _position(place.end)},
    }


def _position(place: SourcePos) -> Json:
    return {"line": place.line, "column": place.column}


def _options(options: PlanOptions) -> Json:
    return {
        "targets": [str(address) for address in options.targets],
        "excludes": [str(address) for address in options.excludes],
        "replace": [str(address) for address in options.replace],
        "run": [str(address) for address in options.run],
        "destroy": options.destroy,
        "refresh": options.refresh,
        "deep": options.deep,
        "refresh_only": options.refresh_only,
        "allow_missing": options.allow_missing,
        "locked": options.locked,
        "promote_from": options.promote_from,
    }


def _digest(document: Json) -> str:
    content = {name: value for name, value in document.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# ---- reading


def parse_saved(text: str, name: str) -> SavedPlan:
    """The plan in the file ``name``. Raises DiagnosticsError when it is none, was altered, or is newer than we are."""
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as problem:
        raise _unreadable(name, "It is not JSON.") from problem
    if not isinstance(document, dict) or "format_version" not in document or "operations" not in document:
        raise _unreadable(name, "It is JSON, but not a plan.")
    version = document["format_version"]
    if not isinstance(version, int) or version > PLAN_VERSION:
        raise _unreadable(name, f"Its format is {version}; this nexus knows {PLAN_VERSION}.", "use a newer nexus")
    if document.get("digest") != _digest(document):
        raise _unreadable(name, "It is not as nexus plan --out has written it.", "make the plan again")
    return SavedPlan(plan_from_json(document, name))


def plan_from_json(document: Mapping[str, object], name: str = "plan") -> Plan:
    """Inverse of :func:`plan_to_json`. Raises DiagnosticsError when the document has another shape."""
    try:
        return _read_plan(document)
    except (KeyError, TypeError, ValueError, AttributeError, AddressError) as problem:
        raise _unreadable(name, f"It does not have the shape of a plan: {problem}.") from problem


def _read_plan(data: Mapping[str, object]) -> Plan:
    target = _mapping(data["target"])
    return Plan(
        project=_text(data["project"]),
        environment=_text(data["environment"]),
        target=Target(_text(target["kind"]), _text(target["account"])),
        lineage=_text(data["lineage"]),
        base_serial=_number(data["base_serial"]),
        changes=tuple(_read_change(_mapping(item)) for item in _sequence(data["changes"])),
        operations=tuple(_read_operation(_mapping(item)) for item in _sequence(data["operations"])),
        options=_read_options(_mapping(data["options"])),
        variables={name: from_json(value) for name, value in _mapping(data["variables"]).items()},
        diagnostics=tuple(_read_diagnostic(_mapping(item)) for item in _sequence(data["diagnostics"])),
        version=_number(data["format_version"]),
    )


def _read_change(data: Mapping[str, object]) -> Change:
    place = data["source"]
    return Change(
        address=Address.parse(_text(data["address"])),
        action=Action(_text(data["action"])),
        cause=_text(data["cause"]),
        fields=tuple(_read_field(_mapping(item)) for item in _sequence(data["fields"])),
        data_loss=data["data_loss"] is True,
        source=None if place is None else _read_source(_mapping(place)),
    )


def _read_source(data: Mapping[str, object]) -> SourceRange:
    start = SourcePos(_number(data["line"]), _number(data["column"]))
    return SourceRange(_text(data["file"]), start, start)


def _read_field(data: Mapping[str, object]) -> FieldDiff:
    return FieldDiff(
        path=_text(data["path"]),
        before=from_json(data["before"]),
        after=from_json(data["after"]),
        effect=Effect(_text(data["effect"])),
        note=_text(data["note"]),
    )


def _read_operation(data: Mapping[str, object]) -> Operation:
    return Operation(
        id=_text(data["id"]),
        verb=Verb(_text(data["verb"])),
        address=Address.parse(_text(data["address"])),
        needs=tuple(_text(item) for item in _sequence(data["needs"])),
        unit=_text(data["unit"] or ""),
        cause=_text(data["cause"]),
        uid=_text(data["uid"] or ""),
        force=data["force"] is True,
        limit=None if data.get("limit") is None else _number(data["limit"]),
    )


def _read_options(data: Mapping[str, object]) -> PlanOptions:
    def addresses(name: str) -> tuple[Address, ...]:
        return tuple(Address.parse(_text(item)) for item in _sequence(data[name]))

    return PlanOptions(
        targets=addresses("targets"),
        excludes=addresses("excludes"),
        replace=addresses("replace"),
        run=addresses("run"),
        destroy=data["destroy"] is True,
        refresh=data["refresh"] is True,
        deep=data.get("deep") is True,
        refresh_only=data.get("refresh_only") is True,
        allow_missing=data.get("allow_missing") is True,
        locked=data.get("locked") is True,
        promote_from=_text(data.get("promote_from", "")),
    )


def _read_diagnostic(data: Mapping[str, object]) -> Diagnostic:
    place = data["range"]
    return Diagnostic(
        severity=Severity(_text(data["severity"])),
        code=_text(data["code"]),
        summary=_text(data["summary"]),
        detail=_text(data["detail"]),
        hint=_text(data["hint"]),
        address=_text(data["address"] or ""),
        range=None if place is None else _read_range(_mapping(place)),
    )


def _read_range(data: Mapping[str, object]) -> SourceRange:
    start, end = _mapping(data["start"]), _mapping(data["end"])
    return SourceRange(
        _text(data["file"]),
        SourcePos(_number(start["line"]), _number(start["column"])),
        SourcePos(_number(end["line"]), _number(end["column"])),
    )


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("a mapping is missing")
    return value


def _sequence(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a number is missing")
    return value


def _unreadable(name: str, detail: str, hint: str = "") -> DiagnosticsError:
    return DiagnosticsError(
        error("plan-unreadable", f"{name} is not a plan that can be used", detail=detail, hint=hint)
    )
