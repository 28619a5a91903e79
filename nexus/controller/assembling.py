"""Puts a controller together as the command line runs it: real folders and repositories, projects, and leases."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from nexus.controller.controller import Controller, Parts
from nexus.controller.faults import OnBug
from nexus.controller.logs import Log
from nexus.controller.places import Places
from nexus.controller.projects import Loader
from nexus.controller.settings import GitPlace, ProjectSettings, Settings
from nexus.controller.sources import FolderSource, GitSource, Source, without_credentials
from nexus.controller.traces import Traces
from nexus.manifest import find_project, read
from nexus.wiring import new_holder


def assemble(settings: Settings, process: Mapping[str, str], log: Log, on_bug: OnBug, traces: Traces) -> Controller:
    """Raises DiagnosticsError when it can't listen where it should."""
    places = Places(process)

    def source(project: ProjectSettings) -> Source:
        if isinstance(project.place, GitPlace):
            return GitSource(project.place, places.project(project.name), process)
        return FolderSource(project.place)

    return Controller(
        settings,
        Parts(
            source=source,
            load=Loader(process, {project.name: places.state_folder(project) for project in settings.projects}),
            approvals=places.approvals,
            log=log,
            on_bug=on_bug,
            traces=traces,
            holder=new_holder,
        ),
    )


def folder_of_project(folder: Path) -> tuple[str, Path]:
    """The project at ``folder`` or above it, and its name. Raises DiagnosticsError when there is none."""
    root = find_project(folder).parent
    return read(root).project or root.name, root


def name_of_repository(place: GitPlace) -> str:
    """Under which a repository without a name of its own is kept: the same for the same project in it."""
    address = without_credentials(place.url)
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", address.rstrip("/").rpartition("/")[2].removesuffix(".git")).strip("-")
    digest = hashlib.sha256(f"{address}\0{place.path}".encode()).hexdigest()
    return f"{stem or 'repository'}-{digest[:8]}"
