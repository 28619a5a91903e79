"""What the SDK raises and what secrets look like, without any engine."""

from __future__ import annotations

import base64
import io
import tarfile
from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest
from e2b import exceptions as sdk
from e2b.sandbox.commands.command_handle import CommandExitException
from hypothesis import given
from hypothesis import strategies as st

from nexus.model.addresses import Address
from nexus.model.changes import Verb
from nexus.model.state import ResourceRecord
from nexus.providers.base import Certainty, Gone, LimitReached, ProviderError
from nexus.providers.e2b.archive import Member, tar_stream
from nexus.providers.e2b.connection import Connection, Settings
from nexus.providers.e2b.errors import execution_failed, translate
from nexus.providers.e2b.jobs import Job, Runner, script_name
from nexus.providers.e2b.probing import is_installed
from nexus.providers.e2b.receipts import Entry, Receipt
from nexus.providers.e2b.redaction import MASK, Redactor
from nexus.providers.e2b.sandbox.packages import compare
from nexus.providers.e2b.secrets import secrets_of
from nexus.render.explanations import explanations
from tests.providers.subject import Subject, secret

NOT_DONE, UNKNOWN, PERMANENT = Certainty.NOT_DONE, Certainty.UNKNOWN, Certainty.PERMANENT


EXCEPTIONS = [
    kind
    for kind in (*vars(sdk).values(), CommandExitException)
    if isinstance(kind, type) and issubclass(kind, Exception)
]
CODES: dict[str, str | None] = {
    "SandboxException": None,
    "TimeoutException": "EXECUTION_TIMEOUT",
    "InvalidArgumentException": None,
    "NotEnoughSpaceException": "INSUFFICIENT_RESOURCES",
    "NotFoundException": None,
    "FileNotFoundException": None,
    "SandboxNotFoundException": "SANDBOX_NOT_FOUND",
    "SandboxNotRunningException": "SANDBOX_NOT_RUNNING",
    "SandboxUnreachableException": "SANDBOX_NOT_RUNNING",
    "AuthenticationException": "PERMISSION_DENIED",
    "GitAuthException": "PERMISSION_DENIED",
    "GitUpstreamException": "EXECUTION_ERROR",
    "TemplateException": None,
    "RateLimitException": "QUOTA_EXCEEDED",
    "GuestUnresponsiveException": "SANDBOX_NOT_RUNNING",
    "ServiceBusyException": "INSUFFICIENT_RESOURCES",
    "BuildException": "EXECUTION_ERROR",
    "FileUploadException": None,
    "VolumeException": None,
    "VolumeNotFoundException": None,
    "VolumePathNotFoundException": None,
    "SecretException": None,
    "SecretNotFoundException": None,
    "CommandExitException": "EXECUTION_ERROR",
}


class TestErrors:
    @pytest.mark.parametrize(
        ("raised", "certainty", "code"),
        [
            (sdk.AuthenticationException("401: Unauthorized"), PERMANENT, "PERMISSION_DENIED"),
            (sdk.RateLimitException("429: Rate limit exceeded"), NOT_DONE, "QUOTA_EXCEEDED"),
            (sdk.ServiceBusyException("503: no capacity"), NOT_DONE, "INSUFFICIENT_RESOURCES"),
            (sdk.SandboxNotFoundException("Sandbox x not found"), PERMANENT, "SANDBOX_NOT_FOUND"),
            (sdk.SandboxNotRunningException("was not found"), PERMANENT, "SANDBOX_NOT_RUNNING"),
            (sdk.SandboxUnreachableException("port is not open"), UNKNOWN, "SANDBOX_NOT_RUNNING"),
            (sdk.TimeoutException("Request timed out"), UNKNOWN, "EXECUTION_TIMEOUT"),
            (sdk.NotEnoughSpaceException("disk full"), PERMANENT, "INSUFFICIENT_RESOURCES"),
            (sdk.InvalidArgumentException("bad"), PERMANENT, None),
            (sdk.SandboxException("500: boom", status_code=500), UNKNOWN, None),
            (sdk.SandboxException("403: no", status_code=403), PERMANENT, "PERMISSION_DENIED"),
            (sdk.SandboxException("409: busy", status_code=409), NOT_DONE, None),
            (sdk.SandboxException("409: idempotency key in progress", status_code=409), UNKNOWN, None),
            (sdk.BuildException("failed to run command"), PERMANENT, "EXECUTION_ERROR"),
            (sdk.BuildException("500: boom"), UNKNOWN, None),
            (sdk.FileUploadException("Failed to upload file"), NOT_DONE, None),
            (sdk.VolumeException("400: name is taken"), PERMANENT, None),
            (httpx.ConnectError("refused"), NOT_DONE, None),
            (httpx.ReadTimeout("late"), UNKNOWN, None),
            (ConnectionRefusedError("refused"), NOT_DONE, None),
            (RuntimeError("whatever"), UNKNOWN, None),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
    )
    def test_every_exception_says_what_is_known_of_its_effect(
        self, raised: Exception, certainty: Certainty, code: str | None
    ) -> None:
        failed = translate(raised, "sandbox.web")
        assert failed.certainty is certainty
        assert failed.diagnostic.error_code == code
        assert failed.diagnostic.address == "sandbox.web"
        assert failed.diagnostic.summary

    @pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
    def test_every_class_of_the_sdk_gets_a_code_and_says_what_to_do(self, kind: type[Exception]) -> None:
        """A class that the SDK brings anew fails here, and has to be thought about."""
        raised = kind("out", "err", 3, None) if kind is CommandExitException else kind("what E2B said")
        found = translate(raised, "sandbox.web").diagnostic
        assert found.error_code == CODES[kind.__name__]
        assert found.hint, "an error says what to do"
        assert found.code != "unexpected-failure", "and is an expected one"
        assert found.address == "sandbox.web"
        assert found.code in {item.code for item in explanations()}

    @pytest.mark.parametrize(
        ("exit_code", "output", "code"),
        [
            (1, "cp: error writing 'x': No space left on device", "INSUFFICIENT_RESOURCES"),
            (1, "Traceback …\nMemoryError", "INSUFFICIENT_RESOURCES"),
            (134, "FATAL ERROR: JavaScript heap out of memory", "INSUFFICIENT_RESOURCES"),
            (137, "Killed", "INSUFFICIENT_RESOURCES"),
            (1, "ENOENT: no such file", "EXECUTION_ERROR"),
            (2, "", "EXECUTION_ERROR"),
        ],
    )
    def test_a_command_that_ran_out_of_something_is_told_apart(self, exit_code: int, output: str, code: str) -> None:
        found = execution_failed("it failed", exit_code=exit_code, output=output).diagnostic
        assert found.error_code == code
        assert found.hint

    def test_a_full_account_stops_and_says_so(self) -> None:
        failed = translate(
            sdk.RateLimitException("429: - you have reached the maximum number of concurrent E2B sandboxes")
        )
        assert isinstance(failed, LimitReached)
        assert failed.diagnostic.error_code == "QUOTA_EXCEEDED"

    def test_a_lost_sandbox_is_gone(self) -> None:
        assert isinstance(translate(sdk.SandboxNotFoundException("x")), Gone)

    def test_what_is_translated_already_stays_as_it_is(self) -> None:
        failed = translate(RuntimeError("x"))
        assert isinstance(failed, ProviderError)
        assert translate(failed) is failed


class TestRedaction:
    @given(st.text(min_size=4, max_size=40), st.binary(max_size=9), st.binary(max_size=9))
    def test_no_encoding_of_a_secret_is_left(self, value: str, before: bytes, after: bytes) -> None:
        redactor = Redactor([value])
        raw = value.encode()
        for text in (
            f"a {value} b",
            raw.hex(),
            quote(value, safe=""),
            base64.b64encode(raw).decode(),
            base64.urlsafe_b64encode(raw).decode(),
        ):
            assert MASK in redactor.text(text)
        inside = base64.b64encode(before + raw + after).decode()
        if len(raw) >= 9:
            assert MASK in redactor.text(inside)

    def test_the_longer_of_two_secrets_is_hidden_whole(self) -> None:
        assert Redactor(["token", "token-and-more"]).text("token-and-more token") == f"{MASK} {MASK}"

    def test_nothing_is_done_for_what_is_too_short_to_hide(self) -> None:
        assert Redactor(["1", ""]).text("1 + 1") == "1 + 1"

    def test_every_line_of_a_secret_counts(self) -> None:
        key = "-----BEGIN KEY-----\nMIIBOgIBAAJBAK\nabcdefghijkl\n-----END KEY-----"
        assert "MIIBOg" not in Redactor([key]).text("read MIIBOgIBAAJBAK from the key")


class TestSecretsOfCalls:
    def test_they_are_found_wherever_attributes_keep_a_fingerprint(self) -> None:
        web = Subject(None, Address.parse("sandbox.web")).declare(
            env_vars={"PLAIN": "seen", "KEY": secret("s-env")},
            run_commands=["plain", secret("s-command")],
            start_command=secret("s-start"),
            ready={"command": secret("s-ready")},
            packages={"pip": [secret("s-package")]},
        )
        found = {"s-env", "s-command", "s-start", "s-ready", "s-package"}
        assert set(secrets_of(web.call(Verb.CREATE))) == found

    def test_a_word_of_nexus_is_no_secret(self) -> None:
        web = Subject(None, Address.parse("sandbox.web")).declare(ready={"file": secret("/run/s-path")})
        assert set(secrets_of(web.call(Verb.CREATE))) == {"/run/s-path"}

    def test_a_call_without_secrets_has_none(self) -> None:
        web = Subject(None, Address.parse("sandbox.web")).declare(env_vars={"A": "b"})
        assert list(secrets_of(web.call(Verb.CREATE))) == []


class TestReceipts:
    def call(self, recorded: str | None, key: str = "k2"):
        web = Subject(None, Address.parse("sandbox.web")).declare(run_commands=["true"])
        call = web.call(Verb.RUN_COMMAND, "run_commands[0]", key=key)
        setup = {} if recorded is None else {"run_commands[0]": recorded}
        return replace(call, record=ResourceRecord(address=web.address, id="i", uid=web.uid, setup=setup))

    def test_a_unit_that_only_the_receipt_knows_is_done(self) -> None:
        call = self.call(None)
        receipt = Receipt(uid=call.uid, units={"run_commands[0]": Entry(call.unit.digest, "k1")})
        assert receipt.tells_done(call)

    def test_a_unit_that_the_record_knows_too_is_repeated_on_purpose(self) -> None:
        call = self.call(self.call(None).unit.digest)
        receipt = Receipt(uid=call.uid, units={"run_commands[0]": Entry(call.unit.digest, "k1")})
        assert not receipt.tells_done(call)
        assert receipt.tells_done(replace(call, key="k1"))

    def test_another_digest_is_another_work(self) -> None:
        call = self.call(None)
        assert not Receipt(uid=call.uid, units={"run_commands[0]": Entry("old", "k1")}).tells_done(call)

    def test_the_receipt_of_another_incarnation_does_not_count(self) -> None:
        call = self.call(None)
        other = Receipt(uid="other", units={"run_commands[0]": Entry(call.unit.digest, "k1")}, env_names=("A",))
        assert other.for_call(call).units == {}

    def test_reading_is_the_inverse_of_writing_and_garbage_is_empty(self) -> None:
        receipt = Receipt(uid="u", address="sandbox.w", units={"a": Entry("d", "k")}, env_names=("A", "B"), boot="b")
        assert Receipt.from_json(receipt.to_json()) == receipt
        for text in ("", "{", "[]", '{"version": 2}', '{"version": 1, "uid": "u", "address": "a", "units": {"x": 1}}'):
            assert Receipt.from_json(text) == Receipt()


class TestPackages:
    @pytest.mark.parametrize(
        ("manager", "wanted", "before", "added", "changed", "removed"),
        [
            ("pip", ["a==2", "c"], ["a==1", "b"], ("c",), ("a==2",), ("b",)),
            ("pip", ["Foo_Bar>=1"], ["foo-bar"], (), ("Foo_Bar>=1",), ()),
            ("npm", ["@s/x@2", "y"], ["@s/x@1", "z@3"], ("y",), ("@s/x@2",), ("z",)),
            ("apt", ["jq=1.6"], ["jq", "git"], (), ("jq=1.6",), ("git",)),
            ("apt", ["jq"], ["jq"], (), (), ()),
        ],
    )
    def test_names_tell_new_ones_from_changed_and_removed_ones(
        self, manager, wanted, before, added, changed, removed
    ) -> None:
        delta = compare(manager, wanted, before)
        assert (delta.added, delta.changed, delta.removed) == (added, changed, removed)


class TestInstalled:
    @pytest.mark.parametrize(
        ("manager", "requirement", "installed", "expected"),
        [
            ("pip", "Foo_Bar[x]==1.0", {"foo-bar": "1.0.0"}, True),
            ("pip", "foo==1.1", {"foo": "1.0"}, False),
            ("pip", "foo>=2", {"foo": "1.0"}, True),
            ("npm", "@s/x@2.0.0", {"@s/x": "2.0.0"}, True),
            ("npm", "y@^1", {"y": "1.4.0"}, True),
            ("apt", "jq=1.6-1", {"jq": "1.6-2"}, False),
            ("apt", "jq", {}, False),
        ],
    )
    def test_a_requirement_is_met_by_name_and_pinned_version(self, manager, requirement, installed, expected) -> None:
        assert is_installed(manager, requirement, installed) is expected


class TestLanguages:
    @pytest.mark.parametrize(
        ("script", "name"),
        [
            ("import fs from 'fs';", "script.mjs"),
            ("const x = await fetch('http://a');", "script.mjs"),
            ("console.log(1);", "script.cjs"),
            ("const fs = require('fs');\nasync function main() {\n  await x();\n}\nmain();", "script.cjs"),
            ("async function main() {\n  await x();\n}\nmain();", "script.cjs"),
            ("const a = () => import('x');", "script.cjs"),
        ],
    )
    def test_the_two_kinds_of_javascript_are_told_apart(self, script: str, name: str) -> None:
        assert script_name(Job(script=script, user="user", runner=Runner.NODE)) == name


class TestArchives:
    async def test_an_archive_holds_what_it_was_given(self) -> None:
        contents = {"a": b"", "ü/" + "long" * 60: b"x" * 513, "b": bytes(300_000), "c": b"y" * 3_000_001}
        members = [
            Member(name, 0o640, len(content), lambda content=content: iter([content] if content else []))
            for name, content in contents.items()
        ]
        data = b"".join([chunk async for chunk in tar_stream(members)])
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            read = {item.name: archive.extractfile(item).read() for item in archive}
            assert {item.mode for item in archive} == {0o640}
        assert read == contents


class TestConnections:
    def test_nothing_of_the_environment_gets_into_a_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("E2B_API_URL", "https://wrong.example")
        monkeypatch.setenv("E2B_SANDBOX_URL", "https://wrong.example")
        monkeypatch.setenv("E2B_DEBUG", "true")
        config = Connection(Settings(api_key="k")).envd_config("i1", "token")
        assert config.api_url == "https://api.e2b.app"
        assert config.get_sandbox_url("i1", "e2b.app") == "https://sandbox.e2b.app"
        assert config.debug is False

    def test_a_printed_setting_shows_no_key(self) -> None:
        assert "secret-key" not in repr(Settings(api_key="secret-key"))
