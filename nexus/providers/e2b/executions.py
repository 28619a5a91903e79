"""The count of what nexus ran in a sandbox, kept in the sandbox itself: a line for each, appended when it has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from nexus.providers.e2b.receipts import FOLDER
from nexus.providers.operating import Executions

PATH: Final = f"{FOLDER}/executions"


def note_command(sandbox_id: str, exit_code: int, seconds: float) -> str:
    """Shell that appends one line. It bears the sandbox's id, as snapshots and forks carry the file along."""
    return f'echo "{sandbox_id} $(date +%s) {exit_code} {seconds:.3f}" >> {PATH}'


def count_command(sandbox_id: str) -> str:
    """Shell that writes one line: how many there were, how many failed, their seconds in all, when the last ended."""
    return (
        f"[ -r {PATH} ] && awk -v id={sandbox_id} "
        "'$1 == id { n++; if ($3 != 0) bad++; s += $4; last = $2 } END { print n+0, bad+0, s+0, last+0 }' "
        f"{PATH} || echo 0 0 0 0"
    )


def parse(line: str) -> Executions:
    """What :func:`count_command` wrote."""
    total, failed, seconds, last = line.split()
    return Executions(
        total=int(total),
        failed=int(failed),
        seconds=float(seconds),
        last=datetime.fromtimestamp(int(last), UTC) if int(last) else None,
    )
