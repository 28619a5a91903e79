"""Programs that start the engine end without a word about the processes that they leave."""

from __future__ import annotations

import subprocess
import sys


def test_a_program_that_leaves_a_process_behind_ends_without_a_warning() -> None:
    program = (
        "import subprocess\n"
        "from nexus.local.outliving import let_outlive\n"
        "let_outlive(subprocess.Popen(['sleep', '5'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))\n"
    )
    done = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
