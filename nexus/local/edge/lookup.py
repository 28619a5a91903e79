"""The way to a sandbox, or what to answer instead."""

from __future__ import annotations

from nexus.local.edge import answers
from nexus.local.edge.answers import Answer
from nexus.local.edge.directory import Directory, InTransitionError, NotResumedError, Route


async def look_up(directory: Directory, sandbox_id: str) -> Route | Answer:
    """Resumes a paused sandbox that traffic wakes."""
    try:
        route = await directory.find(sandbox_id)
    except InTransitionError:
        return answers.in_transition(sandbox_id)
    except NotResumedError as error:
        return answers.not_resumed(sandbox_id, error.status, str(error))
    return route or answers.sandbox_not_found(sandbox_id)
