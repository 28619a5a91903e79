"""JUnit reports that strict readers take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from nexus.model.runs import Run, RunSummary
from nexus.render.junit import junit
from tests.render.sample_runs import HEAD, OPERATIONS, RUN

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).with_name("junit.xsd")))
NOTHING = Run(RunSummary(replace(HEAD, standing=())))
UNFINISHED = Run(RunSummary(HEAD), OPERATIONS)


@pytest.mark.parametrize("run", [RUN, UNFINISHED, NOTHING], ids=["ended", "unfinished", "without steps"])
def test_a_report_is_what_ant_and_jenkins_check_for(run: Run) -> None:
    SCHEMA.validate(junit(run))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('timestamp="2026-01-02T03:04:05"', 'timestamp="2026-01-02T03:04:05Z"'),
        ('hostname="host"', ""),
        ("<system-out />", ""),
        ('id="1"', 'id="0"'),
        ('name="good"', 'name=""'),
        ('type="execution-error"', ""),
        ('time="1.500"', 'time="1,5"'),
    ],
)
def test_what_breaks_a_rule_would_be_found(old: str, new: str) -> None:
    text = junit(RUN)
    assert old in text
    assert not SCHEMA.is_valid(text.replace(old, new))


def suites() -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(junit(RUN)))


def test_steps_are_test_cases_that_tell_how_they_ended() -> None:
    etl, other = suites()
    assert {name: etl.get(name) for name in ("name", "hostname", "tests", "failures", "errors", "skipped", "time")} == {
        "name": "etl",
        "hostname": "host",
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
        "time": "3.750",
    }
    found = {case.get("name"): [child.tag for child in case] for case in etl.iter("testcase")}
    assert found == {"good": [], "bad": ["failure"], "after": ["skipped"], "cut": ["error"], "old": []}
    (failure,) = etl.iter("failure")
    assert failure.attrib == {"message": 'It "failed" <4>', "type": "execution-error"}
    assert failure.text == "[31mwhy & so"
    (skipped,) = etl.iter("skipped")
    assert skipped.get("message") == "step.etl.bad failed"
    assert [child.get("message") for child in other.iter("skipped")] == ["runs only when it is asked for"]
    assert etl.findtext("system-err") == "create sandbox.a: No room"


def test_a_run_without_steps_is_a_report_without_suites() -> None:
    assert not list(ElementTree.fromstring(junit(NOTHING)))
