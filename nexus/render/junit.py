"""A run as a JUnit report: a suite for each pipeline, a test case for each step.

The elements, their order and their attributes are those that the common XSDs of JUnit reports have in common, so that
strict readers take it, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as Xml

from nexus.model.addresses import Address
from nexus.model.events import Outcome
from nexus.model.runs import OperationRun, Run, StandingStep

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One test case. ``kind`` is failure, error, skipped, or "" for one that passed."""

    address: Address
    seconds: float = 0.0
    kind: str = ""
    message: str = ""
    code: str = ""
    text: str = ""


def junit(run: Run) -> str:
    """The whole document. A step that failed is a failure, one that was cut off or never started an error or skipped;
    one that was proven before and not run again has passed, in no time.
    """
    cases = [*map(_ran, run.steps), *map(_stood, run.head.standing)]
    root = Xml.Element("testsuites")
    for number, pipeline in enumerate(dict.fromkeys(_pipeline(case.address) for case in cases)):
        root.append(_suite(run, number, pipeline, [case for case in cases if _pipeline(case.address) == pipeline]))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _stood(item: StandingStep) -> _Case:
    if item.result is not None:
        return _Case(address=item.address)
    return _Case(address=item.address, kind="skipped", message=item.reason)


def _ran(item: OperationRun) -> _Case:
    match item.outcome:
        case Outcome.SUCCEEDED | Outcome.UNCHANGED:
            return _Case(address=item.address, seconds=item.seconds)
        case Outcome.FAILED:
            text = "\n".join(filter(None, (item.detail, *_log(item))))
            return _Case(
                address=item.address,
                seconds=item.seconds,
                kind="failure",
                message=item.summary,
                code=item.code,
                text=text,
            )
        case Outcome.SKIPPED:
            return _Case(address=item.address, kind="skipped", message=item.reason)
        case _:
            message = "The step was cut off"
            return _Case(address=item.address, seconds=item.seconds, kind="error", message=message, code="interrupted")


def _log(item: OperationRun) -> Iterable[str]:
    """The end of the log, where the message does not quote it already."""
    return () if item.tail and item.tail[-1].strip() in item.detail else item.tail


def _suite(run: Run, number: int, pipeline: str, cases: Sequence[_Case]) -> Xml.Element:
    head = run.head
    kinds = [case.kind for case in cases]
    suite = Xml.Element(
        "testsuite",
        {
            "id": str(number),
            "package": _clean(head.project),
            "name": _clean(pipeline),
            "timestamp": _seconds(head.started_at),
            "hostname": _clean(head.holder.rpartition("@")[2] or "localhost"),
            "tests": str(len(cases)),
            "failures": str(kinds.count("failure")),
            "errors": str(kinds.count("error")),
            "skipped": str(kinds.count("skipped")),
            "time": f"{sum(case.seconds for case in cases):.3f}",
        },
    )
    properties = Xml.SubElement(suite, "properties")
    for name in ("id", "environment", "target"):
        Xml.SubElement(properties, "property", {"name": f"nexus.{name}", "value": _clean(getattr(head, name))})
    suite.extend(_case(case) for case in cases)
    Xml.SubElement(suite, "system-out")
    Xml.SubElement(suite, "system-err").text = _clean("\n".join(_other_failures(run))) or None
    return suite


def _case(case: _Case) -> Xml.Element:
    element = Xml.Element(
        "testcase",
        {
            "name": _clean(_name(case.address)),
            "classname": _clean(_pipeline(case.address)),
            "time": f"{case.seconds:.3f}",
        },
    )
    match case.kind:
        case "skipped":
            Xml.SubElement(element, "skipped", {"message": _clean(case.message)})
        case "failure" | "error":
            found = Xml.SubElement(element, case.kind, {"message": _clean(case.message), "type": _clean(case.code)})
            found.text = _clean(case.text) or None
    return element


def _other_failures(run: Run) -> Iterable[str]:
    """What failed beside the steps, and may be why they were skipped."""
    for item in run.operations:
        if item.outcome is Outcome.FAILED and not item.is_step:
            yield f"{item.verb} {item.address}: {item.summary}"


def _pipeline(address: Address) -> str:
    return address.name.partition(".")[0]


def _name(address: Address) -> str:
    step = address.name.partition(".")[2]
    return step if address.key is None else f"{step}[{address.key}]"


def _seconds(text: str) -> str:
    """Without fraction and zone, as the XSDs want it."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _clean(text: str) -> str:
    """Without characters that XML can't hold, colours of terminals among them."""
    return _NOT_XML.sub("", text)
