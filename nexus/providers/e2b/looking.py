"""What a look into a running sandbox tells a person: one command each, which changes nothing."""

from __future__ import annotations

from typing import Final

from nexus.providers.e2b import executions as counting
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.operating import Contents, Executions

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


async def contents(inside: Inside) -> Contents:
    """See :meth:`nexus.providers.operating.Operator.contents`."""
    command = f"{counting.count_command(inside.id)}\n{_CONTENTS}"
    text = await inside.check(command, user=ROOT, summary="The sandbox could not be looked into")
    count, files, disk, processes = text.strip().splitlines()
    return Contents(files=int(files), disk_used=int(disk), processes=int(processes), executions=counting.parse(count))
