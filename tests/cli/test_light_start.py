"""Asking for help costs nothing: what plans and applies need is imported when they begin."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nexus.cli.main import COMMANDS

HEAVY = {"cel", "e2b", "httpx", "jsonschema", "mcp", "networkx", "pydantic", "rich", "starlette", "yaml"}

_SCRIPT = """
import json, sys
from nexus.cli.main import run
code = run(sys.argv[1:])
sys.stderr.write(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
sys.exit(code)
"""


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith(f"Usage: nexus {' '.join(arguments[:-1])}".rstrip())
    assert not HEAVY & set(json.loads(done.stderr))


def test_cel_is_loaded_without_its_command_line() -> None:
    program = (
        "import sys, nexus.expressions; from nexus.expressions.library import cel; "
        "assert cel.compile('1 + 1').execute({}) == 2; "
        "assert not {'cel.cli', 'typer', 'prompt_toolkit'} & sys.modules.keys(); "
        "import cel as package; assert package.compile is cel.compile"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
