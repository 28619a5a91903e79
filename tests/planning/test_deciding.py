"""What a change means, field by field and case by case, with its cause in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from nexus.model.addresses import Address
from nexus.model.changes import Change, Plan, Verb
from nexus.model.observation import Observation, Presence
from nexus.model.values import Sensitive
from nexus.planning import make_plan
from tests.fakes.applier import NOW, World, actions, causes, verbs
from tests.planning import worlds
from tests.planning.worlds import settled

BOX = """
    template: base
    timeout: 1h
    env_vars: {A: one}
    packages: {pip: [httpx]}
    uploads: [{path: /app/f, content: hi}]
    run_commands: [echo 1, echo 2, echo 3]
    startup_script: set up
    start_command: serve
    ready: {port: 80}
    ports: {api: 80}
    metadata: {team: x}
"""
MANIFEST = f"sandboxes:\n  a:{BOX}"


def changed(old: str, new: str, manifest: str = MANIFEST) -> str:
    return worlds.changed(old, new, manifest)


def applied(manifest: str = MANIFEST) -> World:
    return worlds.applied(manifest)


def only(plan: Plan) -> Change:
    (change,) = plan.changes
    return change


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("timeout: 1h", "timeout: 2h", ["extend sandbox.a"]),
        ("A: one", "A: two", ["set-env env sandbox.a"]),
        ("A: one", "B: one", ["set-env env sandbox.a"]),
        ("env_vars: {A: one}", "", ["set-env env sandbox.a"]),
        ("[httpx]", "[httpx, rich]", ["install pip sandbox.a"]),
        ("{pip: [httpx]}", "{pip: [httpx], apt: [jq]}", ["install apt sandbox.a"]),
        ("packages: {pip: [httpx]}", "", ["install pip sandbox.a"]),
        ("content: hi", "content: ho", ["upload uploads sandbox.a"]),
        ("uploads: [{path: /app/f, content: hi}]", "", ["upload uploads sandbox.a"]),
        (
            "echo 2",
            "echo two",
            [
                "run-command run_commands[1] sandbox.a",
                "run-command run_commands[2] sandbox.a",
                "run-command startup_script sandbox.a",
            ],
        ),
        (", echo 3]", "]", ["record sandbox.a"]),
        (
            "echo 3]",
            "echo 3, echo 4]",
            ["run-command run_commands[3] sandbox.a", "run-command startup_script sandbox.a"],
        ),
        ("startup_script: set up", "", ["record sandbox.a"]),
        ("serve", "serve more", ["start start sandbox.a", "await-ready ready sandbox.a"]),
        ("start_command: serve", "", ["start start sandbox.a"]),
        ("port: 80}", "port: 81}", ["await-ready ready sandbox.a"]),
        ("ready: {port: 80}", "", ["record sandbox.a"]),
        ("api: 80", "api: 81", ["record sandbox.a"]),
        ("timeout: 1h", "timeout: 1h\n    network: {internet: false}", ["set-network sandbox.a"]),
        ("timeout: 1h", "timeout: 1h\n    lifecycle: {prevent_destroy: true}", ["record sandbox.a"]),
    ],
)
def test_changes_in_place(old: str, new: str, expected: list[str]) -> None:
    world, after = applied(), changed(old, new)
    plan = world.plan(after)
    assert verbs(plan) == expected
    assert only(plan).action == "update"
    assert only(plan).fields
    settled(world, after)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("template: base", "template: node", "template"),
        ("template: base", "template: base\n    on_timeout: pause", "on_timeout"),
        ("team: x", "team: y", "metadata"),
        ("template: base", "template: base\n    volumes: {/data: v}", "volumes"),
    ],
)
def test_changes_that_replace(old: str, new: str, field: str) -> None:
    volumes = "\nvolumes: {v: {}}\n"
    world, after = applied(MANIFEST + volumes), changed(old, new) + volumes
    plan = world.plan(after)
    assert actions(plan)["sandbox.a"] == "replace"
    assert causes(plan)["sandbox.a"] == f"{field} changed"
    mine = [text for text in verbs(plan) if text.endswith("sandbox.a")]
    assert mine[:3] == ["delete sandbox.a", "create sandbox.a", "arm sandbox.a"]
    settled(world, after)


def test_nothing_is_run_again_for_a_new_environment() -> None:
    world = applied()
    assert verbs(world.plan(changed("A: one", "A: two"))) == ["set-env env sandbox.a"]


def test_a_rotated_secret_is_told_from_a_changed_field() -> None:
    manifest = changed("A: one", 'A: "${{ secrets.KEY }}"')
    world = World()
    world.secrets = {"KEY": Sensitive("hunter2")}
    world.apply(manifest)
    assert world.plan(manifest).is_empty
    world.secrets = {"KEY": Sensitive("hunter3")}
    plan = world.plan(manifest)
    assert only(plan).cause == "secret rotated"
    (diff,) = only(plan).fields
    assert diff.path == 'env_vars["A"]'
    assert diff.sensitive
    assert "hunter" not in repr(plan)


def test_files_changed_are_counted() -> None:
    manifest = "sandboxes: {a: {template: x, uploads: [{path: /app, source: ./src}]}}"
    world = World()
    world.files.files = {"src/a": "1", "src/b": "2", "src/c": "3"}
    world.apply(manifest)
    world.files.files = {"src/a": "1", "src/b": "changed", "src/d": "new"}
    plan = world.plan(manifest)
    assert only(plan).fields[0].note == "1 file added, 1 file changed, 1 file removed"
    assert only(plan).fields[0].path == 'uploads["/app"]'
    settled(world, manifest)


def test_setup_that_was_not_finished_goes_on_where_it_stopped() -> None:
    world = World()
    request = world.request(MANIFEST)
    planned = make_plan(request)
    create = next(index for index, op in enumerate(planned.plan.operations) if op.unit == "run_commands[1]")
    world.perform(planned, planned.plan.operations[:create])
    plan = world.plan(MANIFEST)
    assert only(plan).cause == "setup was not finished"
    assert verbs(plan) == [
        "run-command run_commands[1] sandbox.a",
        "run-command run_commands[2] sandbox.a",
        "run-command startup_script sandbox.a",
        "start start sandbox.a",
        "await-ready ready sandbox.a",
    ]
    settled(world, MANIFEST)


def test_a_create_without_its_arming_is_armed() -> None:
    manifest = "sandboxes: {a: {template: x}}"
    world = World()
    planned = make_plan(world.request(manifest))
    world.perform(planned, planned.plan.operations[:1])
    assert verbs(world.plan(manifest)) == ["arm sandbox.a"]
    assert only(world.plan(manifest)).cause == "setup was not finished"
    settled(world, manifest)


# ---- presence


def test_expired_and_gone_are_made_again_and_say_why() -> None:
    world = applied()
    world.find_as("sandbox.a", Presence.EXPIRED, expires_at="2030-01-01T11:00:00+00:00")
    plan = world.plan(MANIFEST)
    assert actions(plan) == {"sandbox.a": "create"}
    assert causes(plan) == {"sandbox.a": "expired at 2030-01-01T11:00:00+00:00"}
    assert verbs(plan)[:3] == ["forget sandbox.a", "create sandbox.a", "arm sandbox.a"]
    world.find_as("sandbox.a", Presence.GONE)
    assert causes(world.plan(MANIFEST)) == {"sandbox.a": "gone: killed or removed outside nexus"}
    settled(world, MANIFEST)


def test_an_unknown_presence_is_an_error_and_never_a_create() -> None:
    world = applied()
    world.find_as("sandbox.a", Presence.UNKNOWN)
    for observation in (None, Observation()):
        plan = world.plan(MANIFEST, observation)
        assert [item.code for item in plan.diagnostics] == ["presence-unknown"]
        assert "sandbox.a" not in actions(plan)


def test_without_a_refresh_the_state_is_believed() -> None:
    world = applied()
    assert world.plan(MANIFEST, Observation(complete=False)).is_empty


def test_without_a_refresh_the_catalogue_is_made_sure_of_for_what_is_new() -> None:
    world = World()
    plan = world.plan("sandboxes: {a: {template: python}}", Observation(complete=False))
    assert verbs(plan) == ["create catalogue.python", "create sandbox.a", "arm sandbox.a"]


def test_a_paused_sandbox_is_left_alone() -> None:
    world = applied()
    world.find_as("sandbox.a", Presence.PAUSED)
    assert world.plan(MANIFEST).is_empty
    assert verbs(world.plan(changed("api: 80", "api: 81"))) == ["record sandbox.a"]


def test_a_paused_sandbox_is_resumed_for_what_needs_it() -> None:
    world = applied()
    world.find_as("sandbox.a", Presence.PAUSED)
    assert verbs(world.plan(changed("A: one", "A: two"))) == ["resume sandbox.a", "set-env env sandbox.a"]
    with_step = MANIFEST + "\npipelines: {p: {steps: {s: {sandbox: a, run: x}}}}"
    plan = world.plan(with_step)
    assert actions(plan) == {"sandbox.a": "resume", "step.p.s": "run"}
    assert causes(plan)["sandbox.a"] == "paused, and step.p.s needs it"
    assert verbs(plan) == ["resume sandbox.a", "run-step step.p.s"]
    settled(world, with_step)


def test_a_sandbox_with_little_time_left_is_extended_only_for_what_needs_it() -> None:
    world = applied()
    world.now = NOW + timedelta(minutes=58)
    assert world.plan(MANIFEST).is_empty
    with_step = MANIFEST + "\npipelines: {p: {steps: {s: {sandbox: a, run: x}}}}"
    plan = world.plan(with_step)
    assert actions(plan)["sandbox.a"] == "extend"
    assert causes(plan)["sandbox.a"] == "120 s left, and step.p.s needs it"
    world.now = NOW + timedelta(minutes=50)
    assert actions(world.plan(with_step)) == {"step.p.s": "run"}


def test_drift_that_was_seen_is_put_right() -> None:
    world = applied(changed("timeout: 1h", "timeout: 1h\n    network: {internet: false}"))
    manifest = changed("timeout: 1h", "timeout: 1h\n    network: {internet: false}")
    facts = {"network": {"internet": True, "allow": [], "deny": []}}
    world.find_as("sandbox.a", Presence.RUNNING, facts=facts)
    plan = world.plan(manifest)
    assert only(plan).cause == "network changed outside nexus"
    assert verbs(plan) == ["set-network sandbox.a"]


def test_drift_of_setup_is_done_again() -> None:
    world = applied()
    done = dict(world.record("sandbox.a").setup)
    del done["pip"]
    world.find_as("sandbox.a", Presence.RUNNING, facts={"setup": done})
    assert verbs(world.plan(MANIFEST)) == ["install pip sandbox.a"]


# ---- lifecycle


def test_protected_resources_can_not_go() -> None:
    protected = changed("template: base", "template: base\n    lifecycle: {prevent_destroy: true}")
    world = applied(protected)
    for manifest, options in (
        (changed("team: x", "team: y", protected), {}),
        ("sandboxes: {}", {}),
        (protected, {"destroy": True}),
        ("sandboxes: {}", {"destroy": True}),
        (protected, {"replace": (Address.parse("sandbox.a"),)}),
    ):
        plan = world.plan(manifest, **options)
        assert [item.code for item in plan.diagnostics] == ["prevent-destroy"]
        assert "prevent_destroy" in plan.diagnostics[0].hint
    world.apply(MANIFEST)
    assert actions(world.plan("sandboxes: {}")) == {"sandbox.a": "delete"}


def test_protection_does_not_keep_what_is_gone() -> None:
    world = applied(changed("template: base", "template: base\n    lifecycle: {prevent_destroy: true}"))
    world.find_as("sandbox.a", Presence.GONE)
    plan = world.plan("sandboxes: {}")
    assert not plan.diagnostics
    assert actions(plan) == {"sandbox.a": "forget"}


def test_ignored_changes_are_left_alone() -> None:
    ignoring = changed("template: base", "template: base\n    lifecycle: {ignore_changes: [metadata, packages]}")
    world = applied(ignoring)
    other = changed("team: x", "team: y", changed("[httpx]", "[rich]", ignoring))
    assert world.plan(other).is_empty
    assert verbs(world.plan(changed("A: one", "A: two", other))) == ["set-env env sandbox.a"]
    world.apply(changed("A: one", "A: two", other))
    assert world.record("sandbox.a").attributes["metadata"] == {"team": "x"}


def test_replace_on_makes_a_change_a_replacement() -> None:
    eager = changed("template: base", "template: base\n    lifecycle: {replace_on: [startup_script]}")
    world = applied(eager)
    plan = world.plan(changed("set up", "set up anew", eager))
    assert actions(plan) == {"sandbox.a": "replace"}
    assert causes(plan) == {"sandbox.a": "startup_script changed"}


def test_create_before_destroy_deletes_last() -> None:
    manifest = """
sandboxes:
  a: {template: x, metadata: {v: one}, lifecycle: {create_before_destroy: true}}
  b: {template: x, env_vars: {A: "${{ sandbox.a.id }}"}}
"""
    world = applied(manifest)
    after = changed("v: one", "v: two", manifest)
    plan = world.plan(after)
    assert verbs(plan) == ["create sandbox.a", "arm sandbox.a", "set-env env sandbox.b", "delete sandbox.a"]
    settled(world, after)


def test_a_crash_before_the_old_one_is_deleted_leaves_a_leftover_that_goes() -> None:
    manifest = "sandboxes: {a: {template: x, metadata: {v: one}, lifecycle: {create_before_destroy: true}}}"
    world = applied(manifest)
    after = changed("v: one", "v: two", manifest)
    planned = make_plan(world.request(after))
    world.perform(planned, planned.plan.operations[:2])
    assert len(world.state.deposed) == 1
    plan = world.plan(after)
    assert causes(plan) == {"sandbox.a": "left over from a replacement"}
    assert plan.operations[0].uid == world.state.deposed[0].uid
    settled(world, after)


def test_a_leftover_goes_before_what_only_it_still_needs() -> None:
    manifest = """
volumes: {disk: {}}
sandboxes:
  a: {template: x, volumes: {/data: "${{ volume.disk }}"}, lifecycle: {create_before_destroy: true}}
"""
    world = applied(manifest)
    after = "sandboxes: {a: {template: x, lifecycle: {create_before_destroy: true}}}"
    planned = make_plan(world.request(after))
    world.perform(planned, planned.plan.operations[:2])
    assert len(world.state.deposed) == 1
    assert verbs(world.plan(after)) == ["delete sandbox.a", "delete volume.disk"]
    settled(world, after)


def test_a_leftover_goes_though_what_it_needed_needs_its_successor_by_now() -> None:
    early = "lifecycle: {create_before_destroy: true}"
    before = f"sandboxes: {{a: {{template: x, depends_on: [sandbox.b], {early}}}, b: {{template: x}}}}"
    after = f"sandboxes: {{a: {{template: y, {early}}}, b: {{template: x, depends_on: [sandbox.a]}}}}"
    world = applied(before)
    planned = make_plan(world.request(after))
    deletion = next(item for item in planned.plan.operations if item.verb is Verb.DELETE)
    world.perform(planned, [item for item in planned.plan.operations if item is not deletion])
    assert len(world.state.deposed) == 1
    world.apply(after, destroy=True)
    assert world.state.is_empty


def test_create_before_destroy_brings_along_what_it_needs() -> None:
    manifest = """
sandboxes:
  a: {template: x, metadata: {v: one}}
  b: {template: x, metadata: {a: "${{ sandbox.a.id }}"}, lifecycle: {create_before_destroy: true}}
"""
    world = applied(manifest)
    after = changed("v: one", "v: two", manifest)
    assert verbs(world.plan(after)) == [
        "create sandbox.a",
        "arm sandbox.a",
        "create sandbox.b",
        "arm sandbox.b",
        "delete sandbox.b",
        "delete sandbox.a",
    ]
    settled(world, after)


# ---- templates, volumes, the catalogue


def test_a_new_build_replaces_its_sandboxes_only_once_it_is_ready() -> None:
    manifest = "templates: {t: {packages: [one], tags: [v1]}}\nsandboxes: {a: {template: t}}"
    world = applied(manifest)
    after = changed("[one]", "[two]", manifest)
    plan = world.plan(after)
    assert actions(plan) == {"template.t": "update", "sandbox.a": "replace"}
    assert verbs(plan) == [
        "build template.t",
        "set-tags template.t",
        "delete sandbox.a",
        "create sandbox.a",
        "arm sandbox.a",
    ]
    assert plan.operations[2].needs == (plan.operations[1].id,)
    assert causes(plan)["sandbox.a"] == "template changed"
    settled(world, after)


def test_tags_and_visibility_change_in_place() -> None:
    manifest = "templates: {t: {packages: [one], tags: [v1]}}\nsandboxes: {a: {template: t}}"
    world = applied(manifest)
    after = changed("[v1]", "[v1, v2], public: true", manifest)
    plan = world.plan(after)
    assert verbs(plan) == ["set-tags template.t", "set-public template.t"]
    settled(world, after)


def test_a_template_that_is_gone_is_built_again() -> None:
    manifest = "templates: {t: {packages: [one]}}\nsandboxes: {a: {template: t}}"
    world = applied(manifest)
    world.find_as("template.t", Presence.GONE)
    assert verbs(world.plan(manifest)) == ["forget template.t", "create template.t"]


def test_the_catalogue_is_built_once_and_never_destroyed() -> None:
    world = applied("sandboxes: {a: {template: python}}")
    assert (
        world.plan("sandboxes: {a: {template: python}, b: {template: python}}").operations[0].address.kind == "sandbox"
    )
    world.apply("", destroy=True)
    assert world.state.is_empty
    assert Address("catalogue", "python") in world.catalogue


def test_deleting_a_volume_says_that_it_deletes_data() -> None:
    manifest = "volumes: {v: {}}\nsandboxes: {a: {template: x, volumes: {/d: v}}}"
    world = applied(manifest)
    plan = world.plan("sandboxes: {a: {template: x}}")
    assert {str(change.address): change.data_loss for change in plan.changes} == {"volume.v": True, "sandbox.a": False}
    assert verbs(plan)[-1] == "delete volume.v" or verbs(plan).index("delete sandbox.a") < verbs(plan).index(
        "delete volume.v"
    )
    settled(world, "sandboxes: {a: {template: x}}")


def test_a_volume_made_anew_replaces_the_sandboxes_that_mount_it() -> None:
    manifest = "volumes: {v: {}}\nsandboxes: {a: {template: x, volumes: {/d: v}}, b: {template: x}}"
    world = applied(manifest)
    world.find_as("volume.v", Presence.GONE)
    plan = world.plan(manifest)
    assert actions(plan) == {"volume.v": "create", "sandbox.a": "replace"}
    assert causes(plan)["sandbox.a"] == "volume.v is made anew"
    settled(world, manifest)
    plan = world.plan(manifest, replace=(Address.parse("volume.v"),))
    assert verbs(plan) == [
        "delete sandbox.a",
        "delete volume.v",
        "create volume.v",
        "create sandbox.a",
        "arm sandbox.a",
    ]
