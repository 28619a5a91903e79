"""The image of Bun, on a host that has npm but no Bun: it is installed once, in the version asked for."""

from __future__ import annotations

import shutil

import pytest
from e2b import Sandbox, Template
from e2b.template.logger import LogEntry

from nexus.local.daemon import Endpoint
from tests.local.engine_client import sdk

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.catalogue]


@pytest.mark.skipif(shutil.which("bun") is not None or shutil.which("npm") is None, reason="bun is here, or npm is not")
def test_bun_is_installed_in_the_version_of_the_tag_and_shared_by_builds(engine: Endpoint) -> None:
    options = sdk(engine)
    api = {name: value for name, value in options.items() if name != "sandbox_url"}

    def build(command: str) -> list[str]:
        messages: list[str] = []

        def keep(entry: LogEntry) -> None:
            messages.append(entry.message)

        Template.build(Template().from_bun_image("1.3").run_cmd(command), "on-bun", on_build_logs=keep, **api)
        return messages

    build("bun --version")
    messages = build("echo 'console.log(6 * 7)' > /home/user/answer.ts")
    assert any(message.startswith("CACHED [base 1/1] RUN npm install") for message in messages)
    sandbox = Sandbox.create("on-bun", timeout=120, **options)
    try:
        assert sandbox.commands.run("bun --version").stdout.startswith("1.3")
        assert sandbox.commands.run("bun run answer.ts").stdout == "42\n"
    finally:
        sandbox.kill()
