"""The use case `configure --write`: changes to a sandbox that its block in the manifest says, too.

It is what editing the block and applying it would be, in one step, and without touching anything else: the edited text
is checked, planned and applied before it is written. So a change that fails leaves the manifest as it was, and one that
succeeds leaves nothing to plan.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nexus.manifest import NotEditable, save
from nexus.model.addresses import Address
from nexus.model.changes import Change, PlanOptions, Verb
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, SourceRange, error
from nexus.model.events import Event, LogLine, OperationProgress
from nexus.model.values import has_sensitive
from nexus.providers.operating import Configured, Operator
from nexus.providers.reporting import Report
from nexus.workflows.applying import carry_out, grounded
from nexus.workflows.block_editing import SECTION, Block
from nexus.workflows.configuring import Changes, language_of, restart, told, wake
from nexus.workflows.limits import pacing
from nexus.workflows.loading import LoadRequest, Project, load
from nexus.workflows.locking import locked
from nexus.workflows.operating import Place, Sandbox, about
from nexus.workflows.planning import Draft, draw_up
from nexus.workflows.session import Session
from nexus.workflows.surveying import available_secrets, survey

_IN_PLACE: Final = frozenset(
    {Verb.SET_NETWORK, Verb.SET_ENV, Verb.INSTALL, Verb.RUN_COMMAND, Verb.START, Verb.AWAIT_READY, Verb.CHECK}
)
"""What may come of changes that can be written; anything else was waiting to be applied, or replaces the sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One file of the manifest, relative to the project's folder, before and after; and the project it comes to."""

    file: str
    before: str
    after: str
    project: Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How the project is loaded and worked on. ``patience`` is how many seconds to wait for the lock.

    ``bind_interrupt`` is given what an interrupt has to call while the change is made, and then None.
    """

    request: LoadRequest
    open_session: Callable[[Project], AbstractAsyncContextManager[Session]]
    bind_interrupt: Callable[[Callable[[], None] | None], None]
    patience: float = 0.0


async def configure_and_write(
    place: Place,
    operator: Operator,
    sandbox: Sandbox,
    changes: Changes,
    report: Report,
    writing: Writing,
) -> Configured:
    """As :func:`nexus.workflows.configuring.configure`, for good: state and manifest say the same afterwards.

    Raises DiagnosticsError, with the manifest as it was, when it can't be edited so, or the change fails.
    """
    started = time.monotonic()
    address = _declared(place, sandbox)
    resumed = await wake(operator, sandbox, restart=changes.restart)
    with about(sandbox):
        language = await language_of(place, operator, sandbox)
    project = load(writing.request)
    edit = edit_block(writing.request, project, address, language, changes)
    async with writing.open_session(project) as session:
        await write_back(session, project, edit, address, report, writing)
    reached = await restart(place, operator, sandbox, report, wanted=changes.restart)
    live = await operator.look(sandbox.id)
    return told(live, changes, reached, resumed=resumed, seconds=time.monotonic() - started, written=edit.file)


def _declared(place: Place, sandbox: Sandbox) -> Address:
    """The address of a sandbox that the project's state knows. Raises DiagnosticsError for any other."""
    state = place.state
    for address, record in () if state is None else state.resources.items():
        if record.id == sandbox.id:
            return address
    raise DiagnosticsError(
        error(
            "not-editable",
            f"No manifest here speaks of {sandbox}",
            detail="Only the block of a sandbox that this project made can be edited.",
            hint="leave out --write",
        )
    )


def edit_block(request: LoadRequest, project: Project, address: Address, language: str, changes: Changes) -> Edit:
    """The manifest with ``changes`` made to the block of ``address``. Nothing is written.

    Raises DiagnosticsError when the block can't be edited so, or would be wrong then.
    """
    _refuse_secrets(changes, address)
    place = project.manifest.places.key((SECTION, address.name))
    if address not in project.desired.resources or place is None:
        raise _not_editable(address, "the manifest has no block for it", hint="leave out --write")
    siblings = [item for item in project.desired.resources if item.kind == address.kind and item.name == address.name]
    if len(siblings) > 1:
        what = f"its block stands for {len(siblings)} instances, and all of them would change"
        hint = "to change them all, edit the block and apply it; leave out --write to change this one for now"
        raise _not_editable(address, what, hint=hint, place=place)
    before = (project.root / place.file).read_bytes().decode()
    block = Block(before, address.name, project.manifest.section(SECTION)[address.name], language)
    try:
        after = block.edit(changes)
    except NotEditable as problem:
        hint = "edit it there and apply it; or leave out --write to change the sandbox alone"
        where = project.manifest.places((SECTION, address.name, *block.at))
        raise _not_editable(address, f"as it is written, {problem}", hint=hint, place=where) from problem
    edited = load(replace(request, texts={place.file: after}))
    return Edit(file=place.file, before=before, after=after, project=edited)


async def write_back(
    session: Session, project: Project, edit: Edit, address: Address, report: Report, writing: Writing
) -> None:
    """Apply what the edit changes about ``address``, then write the edit. ``project`` is as it was before.

    Raises DiagnosticsError, with the manifest as it was, when something else waits to be applied, or it fails.
    """
    options = PlanOptions(targets=(address,))
    async with locked(session, "configure", writing.patience):
        found = await survey(edit.project, session, options, lineage=session.ids(), for_apply=True)
        former, _ = available_secrets(project)  # of which the edit may have taken out the last use
        session.keep_secret(former.values())
        whole = replace(found, secrets={**former, **found.secrets})
        _refuse_unapplied((await draw_up(project, session, whole, options)).plan.changes, address)
        draft = await draw_up(edit.project, session, found, options)
        _refuse_more(draft, address)
        if not draft.plan.is_empty:
            await session.backend.lock.verify()
            grounded_draft = await grounded(session, draft)
            limits = pacing(edit.project, None)
            applied = await carry_out(session, grounded_draft, limits, _Telling(report), writing.bind_interrupt)
            writing.bind_interrupt(None)
            if applied.result is None or not applied.result.succeeded:
                raise DiagnosticsError(applied.diagnostics or [_interrupted(address)])
        _write(project.root / edit.file, edit)


class _Telling:
    """Hands the executor's events on as what a report is told."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __call__(self, event: Event, /) -> None:
        match event:
            case OperationProgress(message=message):
                self._report.progress(message)
            case LogLine(stream=stream, text=text):
                self._report.log(stream, text)
            case _:
                pass


def _write(path: Path, edit: Edit) -> None:
    try:
        save(path, edit.file, edit.before.encode(), edit.after.encode())
    except DiagnosticsError as problem:
        done = "The sandbox was changed; its block does not say so yet."
        hint = "edit the block yourself: «nexus plan» shows what is missing"
        told = [replace(item, detail=f"{item.detail} {done}".strip(), hint=hint) for item in problem.diagnostics]
        raise DiagnosticsError(told) from problem


# ---- what is refused


def _refuse_secrets(changes: Changes, address: Address) -> None:
    secret = [name for name, value in changes.env_vars.items() if has_sensitive(value) and name not in changes.secrets]
    if secret:
        raise DiagnosticsError(
            error(
                "secret-in-manifest",
                "A secret would be written into the manifest",
                detail=f"The value of {secret[0]} was read from the environment, and may be a secret.",
                hint=f"declare it under secrets, and use --secret-env {secret[0]}=NAME; or leave out --write",
                address=str(address),
            )
        )


def _refuse_unapplied(changes: Sequence[Change], address: Address) -> None:
    waiting = [change for change in changes if change.address == address]
    if waiting:
        raise _unapplied(address, f"{address} waits for: {waiting[0].action.value} ({waiting[0].cause}).")


def _refuse_more(draft: Draft, address: Address) -> None:
    for operation in draft.plan.operations:
        if operation.address != address:
            raise _unapplied(address, f"{operation.address}, which it needs, waits for: {operation.verb.value}.")
    change = next((change for change in draft.plan.changes if change.address == address), None)
    if change is not None and any(operation.verb not in _IN_PLACE for operation in draft.plan.operations):
        raise _not_editable(
            address, f"the change would {change.action.value} it ({change.cause})", hint="edit its block, and apply it"
        )


def _unapplied(address: Address, detail: str) -> DiagnosticsError:
    return DiagnosticsError(
        error(
            "unapplied-changes",
            "There are changes that have not been applied",
            detail=detail,
            hint="look at them with «nexus plan» and apply them first",
            address=str(address),
        )
    )


def _not_editable(address: Address, why: str, *, hint: str, place: SourceRange | None = None) -> DiagnosticsError:
    return DiagnosticsError(
        error(
            "not-editable",
            f"The block of {address} can't be edited so",
            detail=f"{why[0].upper()}{why[1:]}.",
            hint=hint,
            range=place,
            address=str(address),
        )
    )


def _interrupted(address: Address) -> Diagnostic:
    return error(
        "interrupted",
        "It was interrupted before all was done",
        detail="The manifest is as it was.",
        hint="«nexus plan» shows what was done and what was not",
        address=str(address),
    )
