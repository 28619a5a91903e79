"""The lock file, beside what others write into it."""

from __future__ import annotations

from pathlib import Path

from nexus.executor import SystemClock
from nexus.manifest import read_lock, write_lock
from nexus.model.lockfile import Closure, LockedEnvironment, LockedSet, Lockfile
from nexus.stores import LockInfo, memory_backend
from nexus.workflows import pinning
from nexus.workflows.loading import LoadRequest, load
from nexus.workflows.session import Session
from tests.campaigns.account import Account, AccountProvider
from tests.fakes.sinks import sequential_ids

MANIFEST = """
apiVersion: nexus/v1
project: shop
environments: {dev: {}, prod: {}}
sandboxes:
  web: {template: base, uploads: [{path: /srv/text, content: hello}]}
"""
THEIRS = LockedSet(
    base="base",
    requirements={"pip": ("httpx",)},
    closures={"pip": Closure(added={"httpx": "0.28.1"})},
    environments=("prod",),
)


async def test_what_was_locked_for_another_environment_meanwhile_stays(tmp_path: Path) -> None:
    (tmp_path / "nexus.yaml").write_text(MANIFEST)
    request = LoadRequest(path=tmp_path, environment="dev", process={})
    project, clock = load(request), SystemClock()
    prod = LockedEnvironment(uploads={"sandbox.web": {"/srv/text": "digest"}})
    write_lock(tmp_path, Lockfile(packages={"sandbox.api": (THEIRS,)}, environments={"prod": prod}))
    session = Session(
        provider=AccountProvider(Account(), clock),
        backend=memory_backend(),
        clock=clock,
        ids=sequential_ids(),
        holder=lambda operation: LockInfo(holder="me", pid=1, operation=operation, since=""),
        keep_secret=lambda values: None,
    )
    locked = await pinning.lock(request, project, session, tell=lambda line: None)
    found = read_lock(tmp_path)
    assert found == locked.after
    assert found.environments.keys() == {"dev", "prod"}
    assert (found.of("prod"), found.packages) == (prod, {"sandbox.api": (THEIRS,)})
