"""What a lock file makes of a block's packages: exact versions beside the names, or a clear refusal."""

from __future__ import annotations

from typing import Any

import pytest

from nexus.kinds.base import Normalising
from nexus.kinds.packages import Pins, installed_names, packages_from
from nexus.kinds.registry import KINDS
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostics
from nexus.model.lockfile import Closure, LockedSet, Lockfile
from nexus.model.resources import ResourceSpec
from nexus.model.values import UNKNOWN, Sensitive
from tests.fakes.manifests import MemoryFiles

TYPESCRIPT = {"": {"dependencies": {"typescript": "^5"}}, "node_modules/typescript": {"version": "5.6.2"}}
SET = LockedSet(
    base="catalogue.python",
    requirements={"npm": ("typescript",), "pip": ("pandas",)},
    closures={
        "pip": Closure(added={"pandas": "2.2", "tool": "@ https://files/tool.whl"}, base={"numpy": "2.1"}),
        "npm": Closure(added={"typescript": "5.6.2"}, files={"typescript": TYPESCRIPT}),
    },
)
PACKAGES = ["pandas", "npm:typescript"]


def locked(*sets: LockedSet, block: str = "sandbox.web", **options: Any) -> Lockfile:
    return Lockfile(packages={block: sets} if sets else {}, **options)


def normalise(lock: Lockfile | None, address: str = "sandbox.web", **fields: Any) -> tuple[dict[str, Any], Normalising]:
    parsed = Address.parse(address)
    fields.setdefault("base_template" if parsed.kind == "template" else "template", "python")
    context = Normalising(
        spec=ResourceSpec(address=parsed, attributes={}),
        files=MemoryFiles(),
        project="shop",
        environment="prod",
        diagnostics=Diagnostics(),
        lock=lock,
    )
    return dict(KINDS[parsed.kind].normalise(fields, context)), context


def test_locked_packages_carry_their_versions_to_who_installs_them() -> None:
    found, context = normalise(locked(SET), packages=PACKAGES)
    packages = packages_from(found["packages"])
    assert packages.pip == ("pandas",)
    assert packages.pins["pip"] == Pins(("pandas==2.2", "tool @ https://files/tool.whl"), ("numpy==2.1",))
    assert packages.pins["npm"].added == ("typescript@5.6.2",)
    assert b'"lockfileVersion": 3' in b"".join(context.files.content(packages.pins["npm"].file, ""))
    assert packages.pins["npm"].file in context.trees
    assert not context.diagnostics.items


def test_a_deep_look_expects_the_locked_versions() -> None:
    found, _ = normalise(locked(SET), packages=PACKAGES)
    assert installed_names(found["packages"], "pip") == (
        "pandas==2.2",
        "tool @ https://files/tool.whl",
        "numpy==2.1",
    )
    assert installed_names(normalise(None, packages=PACKAGES)[0]["packages"], "pip") == ("pandas",)


def test_without_a_lock_file_nothing_about_packages_is_other_than_before() -> None:
    found, _ = normalise(None, packages=PACKAGES)
    assert found["packages"] == {"apt": [], "pip": ["pandas"], "npm": ["typescript"]}


def test_another_version_is_another_unit_and_another_template() -> None:
    newer = LockedSet(
        base=SET.base,
        requirements=SET.requirements,
        closures={**SET.closures, "pip": Closure(added={"pandas": "2.3"})},
    )
    kind = KINDS["sandbox"]
    before, after = (kind.units(normalise(locked(item), packages=PACKAGES)[0]) for item in (SET, newer))
    digests = [{unit.name: unit.digest for unit in units} for units in (before, after)]
    assert digests[0]["pip"] != digests[1]["pip"]
    assert digests[0]["npm"] == digests[1]["npm"]
    references = {
        normalise(lock, "template.tools", packages=PACKAGES)[0]["reference"]
        for lock in (None, locked(SET, block="template.tools"), locked(newer, block="template.tools"))
    }
    assert len(references) == 3


@pytest.mark.parametrize(
    ("lock", "fields", "why"),
    [
        (locked(), {"packages": PACKAGES}, "sandbox.web is not in it."),
        (locked(SET), {"packages": ["polars"]}, "The packages of sandbox.web are not those that it was made for."),
        (
            locked(SET),
            {"packages": {"pip": ["pandas"], "npm": ["typescript"]}, "template": "node"},
            "It was made for sandbox.web on catalogue.python, not on catalogue.node.",
        ),
    ],
)
def test_what_the_lock_file_does_not_have_is_refused(lock: Lockfile, fields: dict[str, Any], why: str) -> None:
    _, context = normalise(lock, **fields)
    (problem,) = context.diagnostics.items
    assert problem.code == "lock-stale"
    assert problem.detail == why
    assert "nexus lock" in problem.hint


def test_while_a_lock_file_is_made_what_it_does_not_have_is_installed_as_it_comes() -> None:
    found, context = normalise(locked(is_partial=True), packages=PACKAGES)
    assert not packages_from(found["packages"]).pins
    assert not context.diagnostics.items


def test_a_block_without_packages_needs_no_entry() -> None:
    _, context = normalise(locked(SET))
    assert not context.diagnostics.items


def test_names_with_secrets_stay_out_of_the_lock_file() -> None:
    _, context = normalise(locked(SET), packages={"pip": [Sensitive("https://token@host/lib.whl")]})
    (note,) = context.diagnostics.items
    assert (note.code, note.severity) == ("not-lockable", "warning")


def test_what_is_not_known_yet_is_looked_up_when_it_is() -> None:
    found, context = normalise(locked(SET), packages={"pip": UNKNOWN})
    assert found["packages"] is UNKNOWN
    assert not context.diagnostics.items


def test_a_shared_setup_installs_what_is_locked_for_its_sandboxes() -> None:
    found, context = normalise(locked(SET), "setup.web", packages=PACKAGES)
    assert packages_from(found["packages"]).pins["pip"].added
    assert not context.diagnostics.items
