"""Environment variables of a living sandbox: a file in memory that every login shell reads.

What a sandbox was created with can't be changed at E2B. So a later change is written to ``/run/nexus/env``, which only
root and the sandbox's user may read; commands that nexus runs, and login shells, see it at once.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from nexus.kinds.sandbox import SandboxSpec
from nexus.model.values import Value, reveal
from nexus.providers.base import Call
from nexus.providers.e2b.inside import ENV_FILE, JOBS_FOLDER, ROOT, Inside
from nexus.providers.e2b.jobs import export_lines, new_token
from nexus.providers.e2b.receipts import PATH, Origin, Receipt, commit_command

ENV_SUM: Final = f"{ENV_FILE}.sum"
"""Beside the file, in memory like it: by its digest a later look sees whether somebody edited the file."""

quoted = shlex.quote
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


async def set_env(inside: Inside, call: Call, spec: SandboxSpec, receipt: Receipt) -> None:
    """Make the variables of ``spec`` those of the sandbox; what it was given before and is not wanted, is unset."""
    before = call.record.attributes.get("env_vars") if call.record is not None else None
    named = {*receipt.env_names, *(before if isinstance(before, dict) else ()), *spec.env_vars}
    after = replace(receipt.after(call, boot=inside.boot), env_names=tuple(sorted(named)), restored=False)
    await _write(inside, spec, after)


async def change(inside: Inside, env_vars: Mapping[str, Value], unset: Iterable[str], user: str) -> None:
    """Set and unset variables beside those that are there. A deep look will find that the file was edited."""
    await inside.receipt()
    folder = f"{JOBS_FOLDER}/{new_token()}"
    revealed = {name: str(reveal(value)) for name, value in env_vars.items()}
    await inside.write({f"{folder}/more": (_unset_lines(unset) + export_lines(revealed)).encode()}, user=ROOT)
    await inside.check(
        f"trap 'rm -rf {folder}' EXIT; chmod 700 {folder}\n"
        f"[ -e {ENV_SUM} ] || (umask 077; sha256sum < /dev/null > {ENV_SUM})\n"
        f"{{ cat {ENV_FILE} 2>/dev/null; cat {folder}/more; }} > {folder}/env && {_put_in_place(folder, user)}",
        user=ROOT,
        summary="The environment could not be set",
    )
    inside.has_env_file = True


async def restore(inside: Inside, spec: SandboxSpec, receipt: Receipt) -> None:
    """Write the file again after a reboot, where one was written before."""
    if receipt.env_names and not inside.has_env_file:
        await _write(inside, spec, replace(receipt, boot=inside.boot))


async def write_receipt(inside: Inside, receipt: Receipt) -> None:
    """Put a receipt in the place of the one that is there."""
    folder = f"{JOBS_FOLDER}/{new_token()}"
    await inside.write({f"{folder}/receipt": receipt.to_json().encode()}, user=ROOT)
    command = f"trap 'rm -rf {folder}' EXIT; {commit_command(f'{folder}/receipt')}"
    await inside.check(command, user=ROOT, summary="The receipt of the setup could not be written")
    inside.remember(receipt)


async def sign(inside: Inside, uid: str) -> None:
    """See to it that a sandbox in which nothing was set up bears its own id, too. One with a receipt is left alone."""
    if (await inside.receipt()).origin is not None:
        return
    folder = f"{JOBS_FOLDER}/{new_token()}"
    await inside.write({f"{folder}/receipt": Receipt(origin=Origin(uid, inside.id)).to_json().encode()}, user=ROOT)
    # A link is never put over what is there: an apply may have written one meanwhile.
    command = (
        f"trap 'rm -rf {folder}' EXIT; cp {folder}/receipt {PATH}.own; ln {PATH}.own {PATH} 2>/dev/null; rm {PATH}.own"
    )
    await inside.check(command, user=ROOT, summary="The sandbox could not be signed")


async def _write(inside: Inside, spec: SandboxSpec, receipt: Receipt) -> None:
    folder = f"{JOBS_FOLDER}/{new_token()}"
    content = _unset_lines(set(receipt.env_names) - spec.env_vars.keys()) + export_lines(spec.env_vars)
    files = {f"{folder}/env": content.encode(), f"{folder}/receipt": receipt.to_json().encode()}
    await inside.write(files, user=ROOT)
    await inside.check(
        f"trap 'rm -rf {folder}' EXIT; chmod 700 {folder}\n"
        f"{_put_in_place(folder, spec.user)} && (umask 077; sha256sum < {ENV_FILE} > {ENV_SUM}) "
        f"&& {commit_command(f'{folder}/receipt')}",
        user=ROOT,
        summary="The environment could not be set",
    )
    inside.remember(receipt)


def _put_in_place(folder: str, user: str) -> str:
    """A command that makes ``env`` in ``folder`` the file of variables, for root and ``user`` to read."""
    return (
        f'group=$(id -gn {quoted(user)}) && chgrp "$group" {folder}/env && chmod 640 {folder}/env '
        f"&& mv -f {folder}/env {ENV_FILE}"
    )


def _unset_lines(names: Iterable[str]) -> str:
    return "".join(f"unset {name}\n" for name in sorted(names) if _NAME.fullmatch(name))
