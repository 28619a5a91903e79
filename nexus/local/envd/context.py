"""Who a request acts for: default user, path rules and the environment of processes.

Every service of envd asks one :class:`Context`; it is the only holder of the machine's current configuration.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import replace

from nexus.local.envd.accounts import Account, Accounts
from nexus.local.envd.config import EnvdConfig

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Context:
    """The machine's configuration and accounts, as requests see them."""

    def __init__(self, config: EnvdConfig, accounts: Accounts) -> None:
        self._config = config
        self.accounts = accounts

    @property
    def config(self) -> EnvdConfig:
        return self._config

    def adopt(self, config: EnvdConfig) -> None:
        """Be the context of the machine that ``config`` describes."""
        self._config = config

    def reconfigure(
        self,
        *,
        env_vars: Mapping[str, str] | None = None,
        default_user: str | None = None,
        workdir: str | None = None,
        extra_env: Mapping[str, str] | None = None,
    ) -> None:
        """Change what later requests see; None keeps a value, variables are merged into the present ones."""
        config = self._config
        self._config = replace(
            config,
            env_vars={**config.env_vars, **(env_vars or {})},
            default_user=default_user or config.default_user,
            workdir=workdir or config.workdir,
            extra_env={**config.extra_env, **(extra_env or {})},
        )

    def account(self, username: str | None) -> Account:
        """The account a request acts as. Raises :class:`~nexus.local.envd.accounts.UnknownUserError`."""
        return self.accounts.user(username or self._config.default_user)

    def resolve(self, path: str, account: Account) -> str:
        """The absolute path meant by ``path``: ``~`` and relative ones start at home, an empty one is the working
        directory."""
        if not path:
            path = self._config.workdir or account.home
        if path == "~" or path.startswith("~/"):
            path = account.home + path[1:]
        # normpath keeps two leading slashes, which mean nothing on Linux.
        return os.path.normpath(os.path.join(account.home, path)).replace("//", "/", 1)

    def sandbox_env(self) -> dict[str, str]:
        """The variables of the sandbox itself: its identity, then what its creator gave it."""
        return {**self.identity(), **self._config.env_vars}

    def identity(self) -> dict[str, str]:
        """The variables that tell a program where it runs."""
        return {
            "E2B_SANDBOX": "true",
            "E2B_SANDBOX_ID": self._config.sandbox_id,
            "E2B_TEMPLATE_ID": self._config.template_id,
        }

    def environment(self, account: Account, request: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a process; nothing is inherited from envd itself."""
        return {
            "PATH": PATH,
            **self._config.extra_env,
            "HOME": account.home,
            "USER": account.name,
            "LOGNAME": account.name,
            **self.sandbox_env(),
            **request,
        }
