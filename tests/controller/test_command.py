"""What ``nexus reconcile`` refuses before it keeps anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.cli.main import run


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--branch", "main"], "go with --git"),
        (["--git", "x", "--branch", "a", "--tag", "b"], "exclude each other"),
        (["--config", "controller.yaml", "--policy", "auto", "--var", "a=b"], "--var, --policy"),
        (["--listen", "nowhere"], "HOST:PORT is expected"),
        (["--interval", "soon"], "--interval"),
        (["--policy", "perhaps"], "perhaps"),
    ],
)
def test_what_makes_no_sense_together_is_wrong_usage(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nexus.yaml").write_text("apiVersion: nexus/v1\nproject: shop\n")
    assert run(["-C", str(tmp_path), "reconcile", *options]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_a_project_and_a_document_with_errors_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-C", str(tmp_path), "reconcile", "--once"]) == 1
    assert "no-project" in capsys.readouterr().err
    (tmp_path / "controller.yaml").write_text("apiVersion: nexus/v1\nprojects: {shop: {foldr: x}}\n")
    assert run(["reconcile", "--config", str(tmp_path / "controller.yaml")]) == 1
    told = capsys.readouterr().err
    assert "unknown-field" in told
    assert "controller.yaml:2" in told
