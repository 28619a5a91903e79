"""What can't be deleted because a sandbox that was left paused on purpose (`on_destroy: pause`) stands on it.

E2B keeps a template or a volume for as long as a paused sandbox needs it, and refuses to delete it. Where that sandbox
is one that nexus has let go, whoever said that it is to stay has said so of what it needs: that is let go, too.
"""

from __future__ import annotations

from collections.abc import Callable

from e2b import SandboxInfo, SandboxState
from e2b.exceptions import SandboxNotFoundException

from nexus.providers.base import Call, ProviderError, Result
from nexus.providers.e2b.accounts import list_sandboxes
from nexus.providers.e2b.metadata import scope
from nexus.providers.e2b.sandbox.endings import is_released
from nexus.providers.e2b.world import World

Uses = Callable[[SandboxInfo], bool]


async def kept_for_released(world: World, call: Call, uses: Uses, refusal: Exception) -> Result:
    """The end of a delete that was refused: forgotten, if a released sandbox of the project ``uses`` the object.

    Raises ``refusal`` where there is none: then others need it.
    """
    for info in await list_sandboxes(world.connection, scope(call.project, call.environment)):
        if info.state is SandboxState.PAUSED and uses(info) and await _is_released(world, info.sandbox_id):
            return Result(None, note=f"{call.address} is kept: sandbox {info.sandbox_id}, left paused, needs it")
    raise refusal


def is_in_use(problem: ProviderError) -> bool:
    return problem.diagnostic.code == "template-in-use"


def made_from(template_id: str) -> Uses:
    return lambda info: info.template_id == template_id


def mounts(volume: str) -> Uses:
    """By its name."""
    return lambda info: any(mount.get("name") == volume for mount in info.volume_mounts)


async def _is_released(world: World, sandbox_id: str) -> bool:
    try:
        return is_released(await world.connection.client.AsyncSandbox.get_info(sandbox_id))
    except SandboxNotFoundException:
        return False
