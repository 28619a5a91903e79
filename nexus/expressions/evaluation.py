"""Expressions to values: what is unknown stays unknown, what is secret stays secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from nexus.expressions.functions import FunctionError, Plain, as_text
from nexus.expressions.parsing import interpret
from nexus.expressions.programs import INT_LIMIT, EvaluationError, run
from nexus.expressions.scope import Scope
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.expressions import ANY_KEY, Expression, Interpolation, Raw, Reference
from nexus.model.suggestions import did_you_mean
from nexus.model.values import UNKNOWN, Sensitive, Unknown, Value, has_sensitive, is_wholly_known, reveal

_MISSING: Final = object()


def resolve(raw: Raw, scope: Scope) -> Value:
    """The value of ``raw``. Parts without expressions are shared with it, not copied.

    Raises DiagnosticsError, with codes ``expression-failed`` or those of files that can't be read.
    """
    match raw:
        case Expression():
            return evaluate(raw, scope)
        case dict():
            resolved = {key: resolve(item, scope) for key, item in raw.items()}
            same = all(resolved[key] is item for key, item in raw.items())
            return raw if same else resolved  # type: ignore[return-value]  # a tree without expressions is a Value
        case list():
            items = [resolve(item, scope) for item in raw]
            same = all(new is old for new, old in zip(items, raw, strict=True))
            return raw if same else items  # type: ignore[return-value]
        case _:
            return raw


def evaluate(expression: Expression, scope: Scope) -> Value:
    """The value of one string of the manifest. Raises DiagnosticsError."""
    if expression.is_whole:
        part = expression.parts[0]
        return part if isinstance(part, str) else _guarded(part, scope, expression)
    texts: list[str] = []
    known, sensitive = True, False
    for part in expression.parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        value = _guarded(part, scope, expression)
        sensitive = sensitive or has_sensitive(value)
        if is_wholly_known(value):
            texts.append(_rendered(part, value, expression))
        else:
            known = False
    if not known:
        return UNKNOWN
    text = "".join(texts)
    return Sensitive(text) if sensitive else text


def _rendered(part: Interpolation, value: Value, expression: Expression) -> str:
    try:
        return as_text(reveal(value))  # type: ignore[arg-type]  # known and revealed, so plain
    except FunctionError:
        raise DiagnosticsError(
            _failed(part, "it is null, which has no text", expression, "give it a value, or use ? : for the case")
        ) from None


def _guarded(part: Interpolation, scope: Scope, expression: Expression) -> Value:
    try:
        return _interpolation(part, scope)
    except _SecretError:
        hint = "the reason is withheld because a secret is involved"
        raise DiagnosticsError(_failed(part, "it could not be evaluated", expression, hint)) from None
    except EvaluationError as problem:
        hint = problem.__notes__[0] if getattr(problem, "__notes__", None) else ""
        raise DiagnosticsError(_failed(part, str(problem), expression, hint)) from None
    except DiagnosticsError as problem:
        raise DiagnosticsError([item.at(expression.place_of(part)) for item in problem.diagnostics]) from None


def _failed(part: Interpolation, message: str, expression: Expression, hint: str) -> Diagnostic:
    return error(
        "expression-failed",
        f"Expression failed: {message}",
        detail=f"«{part.source}» can't be evaluated: {message}.",
        hint=hint,
        range=expression.place_of(part),
    )


class _SecretError(Exception):
    """A program that was handed a secret failed; its message may quote it."""


def _interpolation(part: Interpolation, scope: Scope) -> Value:
    if part.bare:
        return _bare(part.references[0], scope)
    context = _Context()
    for reference in part.references:
        if not context.take(reference, scope):
            return UNKNOWN
    try:
        result = run(part.program, part.functions, context.roots, scope.files)
    except EvaluationError as problem:
        if context.sensitive:
            raise _SecretError from None
        if problem.missing is not None and context.hint:
            problem.add_note(context.hint)
        raise
    except DiagnosticsError:
        if context.sensitive:
            raise _SecretError from None
        raise
    return Sensitive(result) if context.sensitive else result


def _bare(reference: Reference, scope: Scope) -> Value:
    key = _key(reference)
    if reference.dynamic_key is not None:
        given = dynamic_key(reference, scope)
        if isinstance(given, Unknown):
            return UNKNOWN
        key = str(given)
    value = _root_value(reference, key, scope)
    for part in reference.path:
        value, inside = _child(value, part), value
        if value is _MISSING:
            problem = EvaluationError(f"there is no «{part}»")
            if isinstance(inside, dict):
                problem.add_note(did_you_mean(str(part), inside))
            raise problem
    return value


def dynamic_key(reference: Reference, scope: Scope) -> str | int | Unknown:
    """The value of the key of ``reference``, which is an expression: a text, or a number that stands for its digits.

    Raises EvaluationError for anything else; a secret would show in addresses and messages.
    """
    value = _interpolation(interpret(reference.dynamic_key or "")[0], scope)
    if isinstance(value, Unknown | str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if has_sensitive(value):
        raise EvaluationError("a secret can't be the key of an instance")
    raise EvaluationError("the key of an instance must be a string or a whole number")


def _child(value: Value, part: str | int) -> Value:
    """The part of ``value`` under one step of a path, or the mark _MISSING."""
    match value:
        case Unknown():
            return UNKNOWN
        case Sensitive(value=inner):
            child = _child(inner, part)
            return child if child is _MISSING or child is UNKNOWN else Sensitive(child)
        case dict() if part in value:
            return value[str(part)]
        case list() if isinstance(part, int) and 0 <= part < len(value):
            return value[part]
        case _:
            return _MISSING  # type: ignore[return-value]  # compared by identity, never kept


def _root_value(reference: Reference, key: str | None, scope: Scope) -> Value:
    """What the first words of a reference mean; ``path`` leads on from there."""
    match reference.root:
        case "vars":
            return _as_dict(scope.variables)
        case "secrets":
            return {str(reference.path[0]): scope.secrets.get(str(reference.path[0]), UNKNOWN)}
        case "env":
            return _as_dict(scope.environment)
        case "each":
            if scope.each is None:
                problem = EvaluationError("«each» has no meaning here")
                problem.add_note("each.key and each.value exist in blocks with count, for_each, matrix or pool")
                raise problem
            return {"key": scope.each.key, "value": scope.each.value}
        case "self":
            if scope.this is None:
                raise EvaluationError("«self» has no meaning here")
            return scope.this
        case _:
            return _resource(reference, key, scope)


def _as_dict(values: Mapping[str, Value]) -> dict[str, Value]:
    return values if isinstance(values, dict) else dict(values)


def _key(reference: Reference) -> str | None:
    return None if reference.address is None else reference.address.key


def _resource(reference: Reference, key: str | None, scope: Scope) -> Value:
    address = reference.address
    if scope.resources is None or address is None:
        raise EvaluationError(f"«{address}» is not known before apply")
    if key is None:
        return _outputs(scope, address, reference)
    instance = Address(address.kind, address.name, key)
    try:
        return _outputs(scope, instance, reference)
    except EvaluationError:
        block = _outputs(scope, address.group, reference)
    child = _child(block, key)
    if child is _MISSING:
        problem = EvaluationError(f"there is no {instance}")
        if isinstance(block, dict):
            problem.add_note(did_you_mean(key, block))
        raise problem
    return child


def _outputs(scope: Scope, address: Address, reference: Reference) -> Value:
    """Outputs of a resource; where one of its fields is asked for that is no output, its fields too."""
    if scope.resources is None:
        return UNKNOWN
    try:
        found = scope.resources.outputs(address)
        if isinstance(found, dict) and reference.path and reference.path[0] not in found:
            with suppress(KeyError):
                return {**scope.resources.fields(address), **found}
    except KeyError:
        raise EvaluationError(f"there is no {address}") from None
    return found


class _Context:
    """The variables of one run: only what the program refers to, as plain values."""

    def __init__(self) -> None:
        self.roots: dict[str, Plain] = {}
        self.sensitive = False
        self.hint = ""

    def take(self, reference: Reference, scope: Scope) -> bool:
        """Adds what ``reference`` means. False when it is not known yet."""
        prefix, key = self._prefix(reference), _key(reference)
        given: str | int | None = key
        if reference.dynamic_key is not None and reference.dynamic_key != ANY_KEY:
            found = dynamic_key(reference, scope)
            if isinstance(found, Unknown):
                return False
            given, key = found, str(found)
        value = _root_value(reference, key, scope)
        if given is not None:
            prefix = (*prefix, given)
        if reference.dynamic_key == ANY_KEY and isinstance(value, dict):
            return all(self._walk((*prefix, name), item, reference.path) for name, item in value.items())
        return self._walk(prefix, value, reference.path)

    def _prefix(self, reference: Reference) -> tuple[str | int, ...]:
        names = reference.address.name.split(".") if reference.address else ()
        return (reference.root, *names)

    def _walk(self, prefix: tuple[str | int, ...], value: Value, path: tuple[str | int, ...]) -> bool:
        """Goes down ``path`` as far as there are maps, so that unknown neighbours of what is asked for don't matter."""
        for part in path:
            match value:
                case Sensitive():
                    self.sensitive = True
                    value = value.value
            if not isinstance(value, dict):
                break
            if part not in value:
                self.hint = did_you_mean(str(part), value)
                value = {}
                break
            prefix, value = (*prefix, part), value[str(part)]
        if not is_wholly_known(value):
            return False
        self.sensitive = self.sensitive or has_sensitive(value)
        self._put(prefix, _plain(value))
        return True

    def _put(self, path: tuple[str | int, ...], value: Plain) -> None:
        container: dict[str | int, Plain] = self.roots  # type: ignore[assignment]
        for part in path[:-1]:
            inner = container.get(part)
            if not isinstance(inner, dict):
                inner = container[part] = {}
            container = inner  # type: ignore[assignment]
        present = container.get(path[-1])
        if isinstance(present, dict) and isinstance(value, dict):
            value = {**present, **value}
        container[path[-1]] = value


def _plain(value: Value) -> Plain:
    plain = reveal(value)
    for number in _numbers(plain):
        if not -INT_LIMIT <= number < INT_LIMIT:
            raise EvaluationError("a whole number does not fit 64 bits")
    return plain  # type: ignore[return-value]  # known and revealed, so plain


def _numbers(value: Value) -> Iterator[int]:
    match value:
        case bool():
            return
        case int():
            yield value
        case dict():
            for item in value.values():
                yield from _numbers(item)
        case list():
            for item in value:
                yield from _numbers(item)
