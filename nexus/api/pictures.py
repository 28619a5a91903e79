"""Pictures of a project's graph."""

from __future__ import annotations

from typing import Literal

from nexus.model.changes import Plan
from nexus.stores import Backend
from nexus.workflows.estimating import read_estimate
from nexus.workflows.loading import Project
from nexus.workflows.runs import newest_run

PictureFormat = Literal["mermaid", "dot", "svg", "html"]


async def picture(form: PictureFormat, project: Project, plan: Plan | None, backend: Backend) -> str:
    """The picture in one of the formats. Raises ValueError for another one."""
    from nexus.render import pictures

    estimate = await read_estimate(backend)
    drawing = pictures.draw(project.name, project.environment, project.desired, plan, estimate)
    match form:
        case "mermaid":
            return pictures.mermaid(drawing)
        case "dot":
            return pictures.dot(drawing)
        case "svg":
            return pictures.svg(drawing)
        case "html":
            return pictures.page(drawing, await newest_run(backend))
        case _:
            raise ValueError(f"there is no picture in the format {form!r}")
