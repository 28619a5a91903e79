"""Plans as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Effect, FieldDiff, Operation, Plan, PlanOptions, Verb
from nexus.model.diagnostics import SourcePos, SourceRange, error
from nexus.model.state import Target
from nexus.model.values import UNKNOWN, Fingerprint, Value
from nexus.render.bundles import bundles
from nexus.render.plan import print_plan
from nexus.render.summary import Typed, offer_text
from tests.render.conftest import Compare, Screen


def place(line: int) -> SourceRange:
    return SourceRange("nexus.yaml", SourcePos(line, 3), SourcePos(line, 6))


def field(path: str, before: Value, after: Value, effect: Effect = Effect.SETUP, note: str = "") -> FieldDiff:
    return FieldDiff(path=path, before=before, after=after, effect=effect, note=note)


OFFER = "To do this: nexus apply"
CREATE = Change(
    address=Address("sandbox", "web"),
    action=Action.CREATE,
    cause="not in state",
    fields=(
        field("template", None, "nexus-python:spec-0123456789ab", Effect.REPLACE),
        field("env_vars", None, {"STAGE": "dev", "TOKEN": Fingerprint("aa"), "URL": UNKNOWN}),
        field("packages", None, {"apt": [], "pip": ["six", "idna"], "npm": ["left-pad"]}),
        field(
            "uploads", None, [{"path": "/srv/app", "tree": "ab"}, {"path": "/etc/x", "tree": "cd"}], note="300 files"
        ),
        field("run_commands", None, ["make all", "make install PREFIX=/usr/local " + "X" * 80]),
        field("startup_script", None, "echo one\necho two\n"),
        field("ready", None, {"port": 8000, "timeout": 120}),
    ),
    source=place(9),
)
UPDATE = Change(
    address=Address("sandbox", "api"),
    action=Action.UPDATE,
    cause="env_vars, packages, uploads, startup_script, network changed",
    fields=(
        field('env_vars["STAGE"]', "dev", "prod"),
        field('env_vars["TOKEN"]', Fingerprint("aa"), Fingerprint("bb")),
        field('env_vars["OLD"]', "gone", None),
        field("packages.pip", ["six", "idna"], ["six", "attrs"]),
        field('uploads["/srv/app"]', {"path": "/srv/app"}, {"path": "/srv/app"}, note="2 files added, 1 file changed"),
        field('uploads["/srv/new"]', None, {"path": "/srv/new"}, note="1 file added"),
        field("run_commands", ["a", "b"], ["b", "a"]),
        field("startup_script", "set -e\necho one\necho two\n", "set -e\necho one\necho three\n"),
        field("network.deny", [], ["10.0.0.0/8"], Effect.IN_PLACE),
        field("timeout", 3600, 7200, Effect.IN_PLACE),
    ),
    source=place(20),
)
REPLACE = Change(
    address=Address("sandbox", "db"),
    action=Action.REPLACE,
    cause="template changed",
    data_loss=True,
    fields=(
        field('env_vars["A"]', "1", "2"),
        field("template", "one:spec-1", UNKNOWN, Effect.REPLACE),
    ),
    source=place(31),
)
DELETE = Change(address=Address("sandbox", "old"), action=Action.DELETE, cause="not in the manifest any more")
MANY = tuple(
    Change(
        address=Address("sandbox", "worker", str(number)),
        action=Action.CREATE,
        cause="not in state",
        fields=(field("env_vars", None, {"N": str(number)}),),
        source=place(40),
    )
    for number in range(12)
)
STEP = Change(
    address=Address("step", "etl.load"),
    action=Action.RUN,
    cause="code changed",
    fields=(field("code", "print(1)", "print(2)", Effect.RERUN),),
    source=place(50),
)
PLAN = Plan(
    project="shop",
    environment="default",
    target=Target("local", "engine"),
    lineage="l",
    base_serial=0,
    changes=(CREATE, UPDATE, REPLACE, DELETE, *MANY, STEP),
)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_plan_of_everything(width: int, screen: Screen, golden: Compare) -> None:
    console, stream = screen(width)
    print_plan(console, PLAN)
    golden(f"plan-{width}", stream.getvalue())


def test_verbose_shows_every_instance_by_itself(screen: Screen) -> None:
    console, stream = screen()
    print_plan(console, PLAN, verbose=True)
    assert all(f'sandbox.worker["{number}"]  create' in stream.getvalue() for number in range(12))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (PlanOptions(), "No changes. What is out there matches the manifest.\n"),
        (PlanOptions(destroy=True), "Nothing to destroy.\n"),
        (PlanOptions(targets=(Address("sandbox", "a"),)), "No changes in what was selected.\n"),
    ],
)
def test_an_empty_plan_is_one_sentence(options: PlanOptions, says: str, screen: Screen) -> None:
    console, stream = screen()
    print_plan(console, replace(PLAN, changes=(), options=options))
    assert stream.getvalue() == says


def bundle_titles(keys: Sequence[str]) -> list[str]:
    created = [
        Change(address=Address("sandbox", "worker", key), action=Action.CREATE, cause="not in state") for key in keys
    ]
    return [bundle.title for bundle in bundles(created, fold=True)]


@pytest.mark.parametrize(
    ("keys", "titles"),
    [
        ([str(number) for number in range(100)], ["sandbox.worker[0…99]"]),
        (["10", "2", "1", "0", "7", "8"], ["sandbox.worker[0…2, 7, 8, 10]"]),
        (["us", "eu", "asia"], ['sandbox.worker["asia", "eu", "us"]']),
        ([f"k{letter}" for letter in "abcdefgh"], ['sandbox.worker["ka", "kb", "kc", "kd", "ke", …]']),
        (["0", "1"], ['sandbox.worker["0"]', 'sandbox.worker["1"]']),
        (["x" * 50, "1", "2"], [f'sandbox.worker[1, 2, "{"x" * 20}…"]']),
    ],
)
def test_instances_that_are_alike_have_one_name(keys: list[str], titles: list[str]) -> None:
    assert bundle_titles(keys) == titles


def test_a_block_of_one_line_stands_close_to_others_like_it(screen: Screen) -> None:
    console, stream = screen()
    many = [replace(DELETE, address=Address("sandbox", name)) for name in ("a", "b")]
    print_plan(console, replace(PLAN, changes=(*many, STEP)))
    lines = [line.strip().partition("  ")[0] for line in stream.getvalue().splitlines()]
    assert lines[:4] == ["- sandbox.a", "- sandbox.b", "", "> step.etl.load"]


def test_a_long_cause_is_broken_below_itself(screen: Screen) -> None:
    console, stream = screen(60, color=True)
    print_plan(console, replace(PLAN, changes=(UPDATE,)))
    assert stream.getvalue().splitlines()[:2] == [
        "   ~ sandbox.api  update: env_vars, packages, uploads,",
        "      startup_script, network changed        nexus.yaml:20:3",
    ]


def test_no_field_of_a_plan_is_wider_than_a_terminal(screen: Screen) -> None:
    for width in (60, 80, 100, 200):
        console, stream = screen(width)
        print_plan(console, PLAN)
        fields = [line for line in stream.getvalue().splitlines() if line.startswith("      ")]
        assert max(map(len, fields)) <= width


@pytest.mark.parametrize(
    ("options", "environment", "says"),
    [
        (PlanOptions(), "default", "To do this: nexus apply"),
        (PlanOptions(destroy=True), "prod", "To do this: nexus destroy -e prod"),
        (PlanOptions(targets=(CREATE.address,), locked=True), "default", f"{OFFER} --target sandbox.web --locked"),
        (PlanOptions(promote_from="dev"), "prod", "To do this: nexus promote --from dev --to prod"),
    ],
)
def test_after_a_plan_stands_what_does_it(options: PlanOptions, environment: str, says: str) -> None:
    operations = (Operation(id="1", verb=Verb.CREATE, address=CREATE.address),)
    plan = replace(PLAN, options=options, environment=environment, operations=operations)
    assert offer_text(plan, Typed()).plain == says
    assert not offer_text(replace(plan, operations=()), Typed())
    assert not offer_text(replace(plan, diagnostics=(error("policy-denied", "No"),)), Typed())


def test_what_was_typed_around_a_plan_is_a_part_of_what_does_it() -> None:
    operations = (Operation(id="1", verb=Verb.CREATE, address=CREATE.address),)
    around = Typed(before=("-C", "../my shop"), place=("--local",), values=("--var", "days=4 or 5"))
    offered = offer_text(replace(PLAN, operations=operations), around).plain
    assert offered == "To do this: nexus -C '../my shop' apply --local --var 'days=4 or 5'"


def test_a_branch_of_an_environment_is_named_as_it_was_typed() -> None:
    operations = (Operation(id="1", verb=Verb.CREATE, address=CREATE.address),)
    plan = replace(PLAN, operations=operations, environment="preview-login")
    assert offer_text(plan, Typed(environment="preview/login")).plain == "To do this: nexus apply -e preview/login"


def test_a_name_as_wide_as_the_terminal_leaves_its_cause_below(screen: Screen) -> None:
    console, stream = screen(40, color=True)
    changes = (replace(DELETE, address=Address("sandbox", "x" * 40)), replace(DELETE, cause=""))
    print_plan(console, replace(PLAN, changes=changes))
    assert "\n      manifest any more\n" in stream.getvalue()
