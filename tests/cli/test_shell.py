"""``nexus shell``, with a terminal that a test sits at."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from e2b import Sandbox

from nexus.cli.terminal import Escape
from tests.cli.conftest import Nexus
from tests.cli.seats import seated


@pytest.mark.engine
def test_a_shell_has_a_real_terminal_of_the_size_of_this_one(shared: Nexus) -> None:
    with seated(shared, "shell", "web") as seat:
        seat.type("echo size=$(stty size) term=$TERM stage=$STAGE in=$PWD\n")
        seat.until("size=30 100 term=xterm-256color stage=test in=/home/user")
        seat.resize(90, 20)
        seat.type("while [ \"$(stty size)\" != '20 90' ]; do sleep 0.1; done; echo re''sized\n")
        seat.until("resized")
        seat.type("exit 7\n")
        assert seat.ended() == 7


@pytest.mark.engine
def test_keys_go_to_the_shell_and_not_to_nexus(shared: Nexus) -> None:
    with seated(shared, "shell", "web", "--user", "root", "--workdir", "/tmp") as seat:
        seat.type("echo me=$(id -un) in=$PWD; sleep 1000\n")
        seat.until("me=root in=/tmp")
        seat.type("\x03")
        seat.type("echo interr''upted=$?\n")
        seat.until("interrupted=130")
        seat.type("echo re''ady; cat > typed\n")
        seat.until("ready")
        seat.type("".join(f"line {number}\n" for number in range(200)) + "\x04")
        seat.type("echo lines=$(wc -l < typed); rm typed\n")
        seat.until("lines=200")
        seat.type("exit 0\n")  # an end of input could come while rm still has the terminal, and be lost
        assert seat.ended() == 0


@pytest.mark.engine
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGINT, 130), (signal.SIGHUP, 255)])
def test_a_signal_gives_the_terminal_back_and_ends_the_shell(number: signal.Signals, code: int, shared: Nexus) -> None:
    with seated(shared, "shell", "web") as seat:
        seat.type(f"exec -a marked-{number} sleep 16180\n")
        deadline = time.monotonic() + 60
        while not shared("exec", "web", "--", f"pgrep -f '[m]arked-{int(number)}'").out:
            assert time.monotonic() < deadline
        seat.process.send_signal(number)
        assert seat.ended() == code
    deadline = time.monotonic() + 60
    while shared("exec", "web", "--", f"pgrep -f '[m]arked-{int(number)}'").out:
        assert time.monotonic() < deadline, "the shell goes on"


@pytest.mark.engine
def test_a_shell_that_does_not_answer_can_be_left(shared: Nexus) -> None:
    with seated(shared, "shell", "web") as seat:
        seat.type("stty -echo; echo de''af; sleep 1000\n")
        seat.until("deaf")
        seat.type("\r~.")
        assert seat.ended() == 255
        assert b"Left the shell behind." in seat.seen


@pytest.mark.engine
def test_a_sandbox_that_goes_gives_the_terminal_back(nexus: Nexus, sdk_options: dict[str, Any]) -> None:
    nexus.write("sandboxes: {web: {template: base}}\noutputs: {id: {value: '${{ sandbox.web.id }}'}}\n")
    nexus.ok("apply", "-y")
    with seated(nexus, "shell", "web") as seat:
        seat.type("echo he''re\n")
        seat.until("here")
        Sandbox.kill(nexus.ok("output", "--raw", "id").out.strip(), **sdk_options)
        assert seat.ended() == 1
        assert b"error[sandbox-not-" in seat.seen


@pytest.mark.engine
def test_a_shell_needs_a_terminal(shared: Nexus) -> None:
    refused = shared("shell", "web")
    assert (refused.code, "error[no-terminal]" in refused.err, "nexus exec" in refused.err) == (1, True, True)


@pytest.mark.parametrize(
    ("typed", "kept", "leaves"),
    [
        (["~."], b"", True),
        (["ls\r", "~", "."], b"ls\r", True),
        (["a~."], b"a~.", False),
        (["~/bin\r"], b"~/bin\r", False),
        (["~~."], b"~.", False),
        (["\r~a"], b"\r~a", False),
    ],
)
def test_only_a_tilde_at_the_beginning_of_a_line_leaves(typed: list[str], kept: bytes, leaves: bool) -> None:
    escape = Escape()
    results = [escape.filter(text.encode()) for text in typed]
    assert b"".join(passed for passed, _ in results) == kept
    assert results[-1][1] is leaves
