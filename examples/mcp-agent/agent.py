"""An agent that reports on a table, by the tools of ``nexus mcp`` alone. Every call and every answer is printed.

What it does next is decided by ``decide``, from the answers so far. Here that is a script, so that the example needs no
model and no key; a model takes its place when it is asked for the next call instead, with ``client.list_tools()`` and
the conversation so far. Everything else stays as it is.
"""

import os
import sys
import textwrap
from collections.abc import Generator
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult

Call = tuple[str, dict[str, object]]
Decisions = Generator[Call, CallToolResult, str]

FOLDER = Path(__file__).parent
ADOPTED = FOLDER / "adopted.yaml"

REPORT = """\
import collections, csv
totals = collections.Counter()
for row in csv.DictReader(open("orders.csv"), delimiter={delimiter!r}):
    totals[row["city"]] += float(row["total"])
lines = [f"{{city:<12}} {{total:>8.2f}}" for city, total in totals.most_common()]
open("report.txt", "w").write("\\n".join(lines) + "\\n")
print("\\n".join(lines))
"""


def decide(table: str) -> Decisions:
    """The calls of the agent, one after the other; each is sent the answer to the one before. Returns what it tells."""
    made = yield "sandbox_create", {"template": "base", "name": "analyst", "timeout": 1800}
    analyst = made.structured_content["sandbox_id"]
    yield "sandbox_upload", {"sandbox_id": analyst, "file_path": "orders.csv", "content": table}

    ran = yield "sandbox_execute", {"sandbox_id": analyst, "code": REPORT.format(delimiter=",")}
    if ran.is_error:
        # As an agent does: it looks at what went wrong and at what it was given, and tries again.
        yield "sandbox_logs", {"sandbox_id": analyst, "log_level": "error"}
        head = yield "sandbox_execute", {"sandbox_id": analyst, "language": "bash", "code": "head -n 1 orders.csv"}
        delimiter = next(char for char in ";\t|," if char in head.structured_content["output"])
        ran = yield "sandbox_execute", {"sandbox_id": analyst, "code": REPORT.format(delimiter=delimiter)}
    report = ran.structured_content["output"]
    yield "sandbox_upload", {"sandbox_id": "board", "file_path": "board/report.txt", "content": report}

    # What it made belongs to no project and would end by itself. The answer has the text that hands it over.
    ADOPTED.write_text(made.structured_content["adoption"]["manifest"], encoding="utf-8")
    yield "validate", {}
    applied = yield "apply", {"targets": ["sandbox.analyst"]}
    if not applied.structured_content.get("approved"):
        ADOPTED.write_text("sandboxes: {}\n", encoding="utf-8")
        yield "sandbox_delete", {"sandbox_id": analyst}
        return "The report is published; its sandbox is gone, as you did not want to keep it."
    return "The report is published, and its sandbox is part of the project."


async def work(decisions: Decisions) -> str:
    """Carry the calls out, until the decisions end."""
    # The server gets the whole environment: E2B_API_KEY, NEXUS_TARGET and the like are for it.
    server = StdioServerParameters(command="nexus", args=["-C", str(FOLDER), "mcp"], env=dict(os.environ))
    async with Client(stdio_client(server), elicitation_callback=ask) as client:
        tool, arguments = next(decisions)
        while True:
            print("\n→", tool, *(shown(name, value) for name, value in arguments.items()))
            answer = await client.call_tool(tool, arguments)
            print("".join(part.text for part in answer.content if part.type == "text").rstrip())
            try:
                tool, arguments = decisions.send(answer)
            except StopIteration as end:
                return str(end.value)


def shown(name: str, value: object) -> str:
    """An argument as people read it: longer texts below its name."""
    text = str(value).rstrip()
    return f"{name}={text}" if "\n" not in text else f"{name}=\n{textwrap.indent(text, '    ')}\n"


async def ask(_context: object, request: ElicitRequestParams) -> ElicitResult:
    """The server's question, put to the person at the terminal: it has the plan in it."""
    print(request.message)
    approved = await anyio.to_thread.run_sync(input, "Approve? [y/N]: ")
    return ElicitResult(action="accept", content={"approve": approved.strip().lower() in {"y", "yes"}})


if __name__ == "__main__":
    table = Path(sys.argv[1]).read_text(encoding="utf-8")
    print("\n" + anyio.run(work, decide(table)))
