"""What a look into a running sandbox tells a person: one command each, which changes nothing."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from e2b.exceptions import FileNotFoundException

from nexus.providers.e2b import executions as counting
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.operating import Contents, Executions, Surroundings

_CONTENTS: Final = r"""
find / -xdev -type f 2>/dev/null | wc -l
du -sxk / 2>/dev/null | awk '{ print $1 * 1024 }'
count=0
for folder in /proc/[0-9]*; do
  case ${folder#/proc/} in 1|$$|$PPID) continue;; esac
  IFS= read -r -d '' program < "$folder/cmdline" && count=$((count + 1))
done 2>/dev/null
echo $count
"""
"""Files, bytes, and processes without the first, those of the kernel, and this one."""


async def executions(inside: Inside) -> Executions:
    """See :meth:`nexus.providers.operating.Operator.executions`."""
    command = counting.count_command(inside.id)
    text = await inside.check(command, user=ROOT, summary="The executions could not be counted")
    return counting.parse(text)


async def last_execution(inside: Inside) -> datetime | None:
    """See :meth:`nexus.providers.operating.Operator.last_execution`: when the count was written last."""
    try:
        return (await inside.sandbox.files.get_info(counting.PATH, user=ROOT)).modified_time
    except FileNotFoundException:
        return None


async def contents(inside: Inside) -> Contents:
    """See :meth:`nexus.providers.operating.Operator.contents`."""
    command = f"{counting.count_command(inside.id)}\n{_CONTENTS}"
    text = await inside.check(command, user=ROOT, summary="The sandbox could not be looked into")
    count, files, disk, processes = text.strip().splitlines()
    return Contents(files=int(files), disk_used=int(disk), processes=int(processes), executions=counting.parse(count))


_ABOUT: Final = r"""
sed 's/:/ /' /proc/net/dev |
  awk 'NR > 2 && $1 != "lo" { received += $2; sent += $10 } END { printf "%.0f %.0f\n", sent, received }'
"""
"""Bytes sent and received, without what the sandbox sent to itself."""

_AS_USER: Final = r"""
echo "$HOME"
python3 -I -c 'import sys; print(".".join(map(str, sys.version_info[:3])))' 2>/dev/null || echo
python3 -c 'from importlib.metadata import distributions; print(len({item.name for item in distributions()}))' \
  2>/dev/null || echo
node --version 2>/dev/null | sed s/^v// | grep . || echo
compgen -e
"""
"""The home, versions of the languages, how many Python packages, and names of variables; never a value."""

_OF_EVERY_SHELL: Final = frozenset(
    {"_", "HOME", "HOSTNAME", "LANG", "LC_ALL", "LOGNAME", "MAIL", "OLDPWD", "PATH", "PWD", "SHELL", "SHLVL", "TERM"}
    | {"USER"}
)


async def surroundings(inside: Inside, user: str) -> Surroundings:
    """See :meth:`nexus.providers.operating.Operator.surroundings`."""
    summary = "The sandbox could not be looked into"
    command = f"{counting.count_command(inside.id)}\n{_ABOUT}"
    outer, own = await asyncio.gather(
        inside.check(command, user=ROOT, summary=summary), inside.check(_AS_USER, user=user, summary=summary)
    )
    count, traffic = outer.splitlines()
    home, python, packages, node, *names = own.splitlines()
    sent, received = traffic.split()
    return Surroundings(
        executions=counting.parse(count),
        bytes_sent=int(sent),
        bytes_received=int(received),
        home=home,
        python_version=python or None,
        pip_packages=int(packages) if packages else None,
        node_version=node or None,
        env_names=tuple(sorted(name for name in names if name not in _OF_EVERY_SHELL)),
    )
