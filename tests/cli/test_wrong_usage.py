"""Wrong usage ends with a code, a message that says what to do, and never with a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nexus.api.plans import save_plan
from nexus.cli.main import run
from nexus.model.changes import Plan
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import Target
from tests.cli.conftest import check

MANIFEST = """\
apiVersion: nexus/v1
project: shop
variables:
  stage: {type: string, enum: [dev, prod], default: dev}
  size: {type: integer}
environments:
  prod: {size: 3}
sandboxes:
  web: {template: base}
"""
WRONG = """\
apiVersion: nexus/v1
project: shop
sandboxes:
  web:
    tempalte: base
    timeout: soon
  api: {template: base, env_vars: {URL: "${{ sandbox.wbe.id }}"}}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("E2B_API_KEY", "NEXUS_TARGET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nexus.yaml").write_text(MANIFEST)
    (tmp_path / "broken.plan").write_text("{")
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "nexus.yaml").write_text(WRONG)
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("plan --target web", 2, "'web' is not an address such as sandbox.web"),
        ("plan --target sanbox.web", 2, "does not begin with a kind"),
        ("plan extra", 2, "unexpected extra argument"),
        ("plan --nope", 2, "No such option"),
        ("-C missing plan", 1, "error[no-project]"),
        ("-C / plan", 1, "hint: «nexus init» makes a new project"),
        ("plan", 1, "error[missing-variable]: The variable size has no value"),
        ("-C empty plan", 1, " 5 |   size: {type: integer}"),
        ("plan --var sise=1", 1, "hint: did you mean"),
        ("plan --var size", 1, "is not an assignment such as name=value"),
        ("plan --var size=big", 1, "must be of type integer"),
        ("plan --var size=1 --var stage=test", 1, "stage"),
        ("plan --var-file none.yaml", 1, "none.yaml can't be read"),
        ("plan -e staging", 1, "declares no environment staging"),
        ("apply none.plan", 1, "error[plan-unreadable]"),
        ("apply broken.plan", 1, "error[plan-unreadable]"),
        ("apply -e prod", 1, "hint: add --auto-approve"),
        ("destroy -e prod", 1, "error[not-approved]"),
        ("apply -y --lock-timeout 5x", 2, "a duration such as 30m"),
        ("apply --parallelism 0", 2, "--parallelism"),
        ("output nope", 1, "There is no output «nope»"),
        ("output --raw", 2, "--raw wants the NAME"),
        ("state show sandbox.web", 1, "The state has no sandbox.web"),
        ("show none.plan", 1, "error[plan-unreadable]"),
        ("init nope", 1, "the examples are: "),
        ("init", 1, "error[file-exists]"),
        ("exec", 2, "Missing argument 'SANDBOX'"),
        ("exec web", 2, "Say what to run"),
        ("exec web --code x -- ls", 2, "one of them"),
        ("exec web --language python -- ls", 2, "--language"),
        ("exec web --env 1=2 -- ls", 2, "not the name of a variable"),
        ("exec web --env NEXUS_NO_SUCH_THING -- ls", 2, "has no value"),
        ("exec web --timeout never -- ls", 2, "--timeout"),
        ("exec web --file none.py", 1, "error[file-unreadable]"),
        ("list --sort-by size", 2, "--sort-by"),
        ("logs web -n 0", 2, "--lines"),
        ("validate -e prod -C x", 2, "No such option"),
        ("-C wrong validate", 1, "3 errors in all"),
        ("-C missing validate", 1, "hint: name the folder of a project"),
        ("run etl --var size=1 -y", 1, "hint: declare it under pipelines"),
        ("show none.plan", 1, "hint: «nexus plan --out FILE» writes one"),
    ],
)
def test_a_wrong_line_is_answered(
    line: str, code: int, says: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == code
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert "bug in nexus" not in said.err


@pytest.mark.parametrize(
    ("target", "says"),
    [("mars", "NEXUS_TARGET is one of: local, e2b"), ("e2b", "set E2B_API_KEY, or use the local engine with --local")],
)
@pytest.mark.parametrize("command", ["plan -e prod", "list", "exec web -- ls", "apply -e prod -y"])
def test_a_target_that_can_not_be_is_refused(
    command: str,
    target: str,
    says: str,
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NEXUS_TARGET", target)
    assert run(command.split()) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("line", ["plan -e prod", "list", "exec web -- ls"])
def test_a_home_that_can_not_be_made_is_no_fault_of_nexus(
    line: str, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(shop / "nexus.yaml" / "home"))
    assert run(line.split()) == 1
    said = capsys.readouterr().err
    assert "bug in nexus" not in said
    assert "error[engine-unavailable]" in said or "error[sandbox-not-found]" in said


def test_a_plan_that_can_not_be_written_is_no_fault_of_nexus(shop: Path) -> None:
    plan = Plan(
        project="shop", environment="default", target=Target("local", "e"), lineage="l", base_serial=0, changes=()
    )
    with pytest.raises(DiagnosticsError) as refused:
        save_plan(plan, shop / "nexus.yaml" / "friday.plan")
    assert refused.value.diagnostics[0].code == "plan-unwritable"
    assert refused.value.diagnostics[0].hint


def test_all_errors_of_a_manifest_come_at_once_with_place_line_and_hint(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-C", "wrong", "plan"]) == 1
    text = capsys.readouterr().err
    assert "--> nexus.yaml:5:5" in text
    assert " 5 |     tempalte: base" in text
    assert "hint: did you mean" in text
    assert "--> nexus.yaml:6:14" in text


@pytest.mark.parametrize("line", ["-C wrong validate --json", "-C wrong plan --json", "output nope --json"])
def test_errors_are_one_document_with_json(line: str, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 1
    said = capsys.readouterr()
    document = json.loads(said.out)
    check(document, "validate" if "validate" in line else "failure")
    assert all(item["severity"] == "error" for item in document["diagnostics"])
    assert said.err == ""


@pytest.mark.parametrize("line", ["apply --json -e prod", "-C wrong destroy --json -y"])
def test_errors_are_events_where_events_are_asked_for(
    line: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == 1
    said = capsys.readouterr()
    for text in said.out.splitlines():
        event = json.loads(text)
        check(event, "events")
        assert event["type"] == "diagnostic"
    assert said.out
    assert said.err == ""


def test_a_fault_of_ours_is_said_to_be_one_and_shows_no_values(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "hunter" + "2"

    def broken(request: object) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr("nexus.workflows.loading.load", broken)
    assert run(["plan"]) == 1
    text = capsys.readouterr().err
    assert "This is a bug in nexus (RuntimeError)" in text
    (log,) = (shop / "home" / "logs").iterdir()
    assert str(log) in text
    assert secret not in text + log.read_text()
