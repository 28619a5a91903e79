"""The document that says what to keep."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from nexus.controller.reading import parse_address, read_settings
from nexus.controller.settings import GitPlace, Key, Policy, Settings, WebhookSettings
from nexus.controller.status import NoticeKind
from nexus.model.diagnostics import DiagnosticsError
from nexus.schema.published import published_schema

DOCUMENT = """\
apiVersion: nexus/v1
listen: 0.0.0.0:9000
interval: 30s
policy: plan-only
concurrency: 4
webhooks:
  - url: {env: HOOK_URL}
    secret: {file: secret}
    events: [applied, failed]
projects:
  shop:
    git: {url: "https://example.com/shop.git", tag: v1, path: infra, verify: true, allowed_signers: signers}
    policy: auto
    variables: {size: 1, name: shop}
    environments:
      dev:
      prod: {policy: approve, interval: 5m, variables: {size: 9}, target: e2b, deep: true}
  lab: {folder: ../lab}
"""


def read(folder: Path, text: str, **process: str) -> Settings:
    (folder / "controller.yaml").write_text(text)
    return read_settings(folder / "controller.yaml", process)


def test_environments_inherit_what_they_do_not_say(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    settings = read(tmp_path, DOCUMENT, HOOK_URL="https://hooks.example.com/x")
    jsonschema.validate(yaml.safe_load(DOCUMENT), published_schema("controller"))
    assert (settings.host, settings.port, settings.concurrency) == ("0.0.0.0", 9000, 4)
    assert settings.webhooks == (
        WebhookSettings(url="https://hooks.example.com/x", secret="hush", kinds=frozenset({"applied", "failed"})),
    )
    assert "hush" not in repr(settings)
    shop, lab = settings.projects
    assert shop.place == GitPlace(
        url="https://example.com/shop.git",
        tag="v1",
        path="infra",
        verify=True,
        allowed_signers=tmp_path / "signers",
    )
    dev, prod = shop.environments
    assert (dev.key, dev.policy, dev.interval, dev.deep) == (Key("shop", "dev"), Policy.AUTO, 30.0, False)
    assert (prod.policy, prod.interval, prod.target, prod.deep) == (Policy.APPROVE, 300.0, "e2b", True)
    assert (dev.variables, prod.variables) == ({"size": 1, "name": "shop"}, {"size": 9, "name": "shop"})
    assert shop.interval == 30.0
    assert lab.place == tmp_path / "../lab"
    assert [(item.key, item.policy) for item in lab.environments] == [(Key("lab", "default"), Policy.PLAN_ONLY)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("polcy: auto", "unknown-field"),
        ("policy: automatic", "invalid-value"),
        ("interval: soon", "invalid-value"),
        ("listen: localhost", "invalid-value"),
        ("listen: localhost:99999", "invalid-value"),
        ("concurrency: 0", "invalid-value"),
        ("projects: {a: {}}", "missing-field"),
        ("projects: {a: {folder: x, git: {url: y}}}", "conflicting-fields"),
        ("projects: {a: {git: {url: y, branch: b, tag: t}}}", "conflicting-fields"),
        ("projects: {a/b: {folder: x}}", "invalid-name"),
        ("projects: {a: {folder: x, environments: {a b: {}}}}", "invalid-name"),
        ("webhooks: [{url: 'ftp://x'}]", "invalid-value"),
        ("webhooks: [{url: {env: NOPE}}]", "secret-unavailable"),
        ("webhooks: [{url: 'http://x', events: [never]}]", "invalid-value"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, line: str, code: str) -> None:
    projects = "" if line.startswith("projects") else "projects: {a: {folder: x}}\n"
    with pytest.raises(DiagnosticsError) as caught:
        read(tmp_path, f"apiVersion: nexus/v1\n{projects}{line}\n")
    (found,) = caught.value.diagnostics
    assert (found.code, found.range is not None) == (code, True)
    assert found.range is not None
    assert (found.range.file, found.range.start.line) == ("controller.yaml", 3 if projects else 2)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticsError, match="can't be read"):
        read_settings(tmp_path / "nope.yaml", {})


def test_the_schema_knows_every_event() -> None:
    schema = published_schema("controller")
    events = schema["properties"]["webhooks"]["items"]["properties"]["events"]["items"]["enum"]  # type: ignore[index]
    assert events == [kind.value for kind in NoticeKind]


@pytest.mark.parametrize(("text", "parts"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:8460", ("::1", 8460))])
def test_addresses(text: str, parts: tuple[str, int]) -> None:
    assert parse_address(text) == parts
