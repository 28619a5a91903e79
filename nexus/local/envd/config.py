"""What a machine's envd is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

UserSwitch = Literal["setuid", "userns", "none"]
"""How a command comes to run as its user: by set*id calls, in a nested user namespace that shows the one real uid under
the user's number, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvdConfig:
    """Identity and defaults of one machine.

    ``access_token`` None leaves envd open (build machines, reached by the daemon alone). ``env_vars`` are the sandbox's
    own variables. ``workdir`` None means the default user's home. ``extra_env`` comes below ``env_vars``: what the host
    needs its guests to know (certificate bundles and the like). ``user_switch`` is chosen by the isolation tier.
    """

    sandbox_id: str
    template_id: str
    access_token: str | None = None
    default_user: str = "user"
    workdir: str | None = None
    env_vars: Mapping[str, str] = field(default_factory=dict)
    extra_env: Mapping[str, str] = field(default_factory=dict)
    user_switch: UserSwitch = "setuid"
