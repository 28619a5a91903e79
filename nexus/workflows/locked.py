"""Whether what is about to be done is what the lock file says, as far as no block's packages tell it themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from nexus.manifest import LOCK_NAME
from nexus.model.diagnostics import Diagnostic, Severity, error, warning
from nexus.model.lockfile import Lockfile
from nexus.planning import Evaluated, uploads_of
from nexus.workflows.loading import Project


def lock_notes(
    project: Project, wanted: Iterable[Evaluated], builds: Mapping[str, str], *, strict: bool
) -> Iterator[Diagnostic]:
    """What is not as the lock file has it. Where that is ``strict``, there must be one, and files must not differ."""
    lock = project.lock
    if lock is None:
        if strict:
            yield _missing()
        return
    yield from _moved_builds(lock, project.base_environment, builds)
    for item in wanted:
        for note in _changed_uploads(lock, project.base_environment, item):
            yield replace(note, severity=Severity.ERROR) if strict else note


def _missing() -> Diagnostic:
    return error(
        "lock-missing",
        f"The project has no {LOCK_NAME}",
        detail="With --locked, nothing is installed in versions that nobody has written down.",
        hint="run «nexus lock», and commit the file",
    )


def _moved_builds(lock: Lockfile, environment: str, builds: Mapping[str, str]) -> Iterator[Diagnostic]:
    for name, build_id in lock.of(environment).builds.items():
        if builds.get(name, build_id) != build_id:
            yield error(
                "lock-build-moved",
                "A template is not the build that was locked",
                detail=f"{name} was build {build_id} when it was locked, and is build {builds[name]} now. "
                "E2B makes sandboxes from the newest build of a name and tag only.",
                hint="run «nexus lock» to take the new build, or name a tag that still means the old one",
            )


def _changed_uploads(lock: Lockfile, environment: str, wanted: Evaluated) -> Iterator[Diagnostic]:
    if environment not in lock.environments:
        return
    address = str(wanted.spec.address)
    locked, found = lock.of(environment).uploads.get(address, {}), uploads_of(wanted)
    changed = [path for path in found if locked.get(path) != found[path]]
    if changed:
        yield warning(
            "lock-uploads",
            "Files are not those that were locked",
            detail=f"What goes to {', '.join(changed)} has changed since.",
            hint="run «nexus lock» to lock the files as they are",
            address=address,
            range=wanted.spec.field_sources.get("uploads", wanted.spec.source),
        )
