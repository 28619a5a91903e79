"""Planning a build: surroundings, layer keys, names and images."""

from __future__ import annotations

import pytest

from nexus.local.builds.images import UnavailableImageError, resolve_image
from nexus.local.builds.model import Step, Surroundings
from nexus.local.builds.plan import InvalidStepError, absolute, plan_build
from nexus.local.builds.references import Reference, check_tag, parse_reference
from nexus.local.errors import InvalidRequestError


def run(text: str, *, force: bool = False) -> Step:
    return Step(type="RUN", args=(text,), force=force)


def keys(*steps: Step, base: str = "base", force: bool = False, salt: str = "s1") -> list[str | None]:
    return [step.layer for step in plan_build(base, Surroundings(), steps, force=force, salt=salt).steps]


def test_key_of_a_layer_depends_on_everything_before_it() -> None:
    assert keys(run("a"), run("b")) == keys(run("a"), run("b"), salt="s2")
    assert keys(run("a"), run("b"))[1] != keys(run("x"), run("b"))[1]
    assert keys(run("a"))[0] != keys(run("a"), base="other")[0]
    assert keys(Step(type="ENV", args=("A", "1")), run("a"))[1] != keys(Step(type="ENV", args=("A", "2")), run("a"))[1]


def test_forced_step_and_what_follows_get_new_keys_in_each_build() -> None:
    first = keys(run("a"), run("b", force=True), run("c"))
    second = keys(run("a"), run("b", force=True), run("c"), salt="s2")
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert first[2] != second[2]
    assert keys(run("a"), force=True)[0] != keys(run("a"))[0]


def test_surroundings_are_carried_from_step_to_step() -> None:
    steps = [
        Step(type="ENV", args=("A", "1", "B", "$A-${A}-$MISSING")),
        Step(type="ENV", args=("PATH", "/opt/bin:$PATH")),
        Step(type="WORKDIR", args=("/srv",)),
        Step(type="WORKDIR", args=("app/../web",)),
        Step(type="USER", args=("builder",)),
    ]
    end = plan_build("base", Surroundings(), steps, force=False, salt="").surroundings
    assert end.env["B"] == "1-1-"
    assert end.env["PATH"].startswith("/opt/bin:/usr/local/sbin:")
    assert (end.user, end.workdir, end.home) == ("builder", "/srv/web", "/home/builder")


def test_paths_start_at_the_working_directory() -> None:
    assert absolute("x", Surroundings()) == "/home/user/x"
    assert absolute("~/x", Surroundings(user="root", workdir="/srv")) == "/root/x"
    assert absolute("//x/../y", Surroundings()) == "/y"


@pytest.mark.parametrize(
    "step",
    [Step(type="ENV", args=("A",)), Step(type="COPY", args=("a", "b")), Step(type="VOLUME", args=("x",)), run("")],
)
def test_impossible_step_is_named_by_its_number(step: Step) -> None:
    with pytest.raises(InvalidStepError) as caught:
        plan_build("base", Surroundings(), [run("fine"), step], force=False, salt="")
    assert caught.value.number == 2


def test_references_have_names_and_tags() -> None:
    assert parse_reference(" My-App:V1.2 ") == Reference("my-app", "v1.2")
    assert parse_reference("local/app") == Reference("app", "default")
    assert parse_reference("team/app").name == "team/app"
    for bad in ("", "a b", "a:", "a:b:c", "x/y/z!", "ü"):
        if bad == "a:":
            assert parse_reference(bad).tag == "default"
            continue
        with pytest.raises(InvalidRequestError):
            parse_reference(bad)
    with pytest.raises(InvalidRequestError):
        check_tag("00000000-0000-0000-0000-000000000000")


def test_images_stand_for_the_base_when_their_program_is_there() -> None:
    def find_nothing(_program: str) -> str | None:
        return None

    assert resolve_image("docker.io/library/debian:bookworm-slim", find_nothing).name == "debian"
    assert resolve_image("e2bdev/base:latest", find_nothing).name == "e2bdev/base"
    assert resolve_image("python:3.12", lambda program: f"/usr/bin/{program}").name == "python"
    with pytest.raises(UnavailableImageError, match="needs node"):
        resolve_image("node:22", find_nothing)
    with pytest.raises(UnavailableImageError, match="not available"):
        resolve_image("ghcr.io/someone/python:3", find_nothing)


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("oven/bun:1.3", "bun@1.3"),
        ("docker.io/oven/bun:1.3.2-alpine", "bun@1.3.2"),
        ("oven/bun", "bun"),
        ("oven/bun:latest", "bun"),
    ],
)
def test_a_program_that_npm_can_install_is_set_up_in_the_version_asked_for(image: str, wanted: str) -> None:
    setup = resolve_image(image, lambda program: "/usr/bin/npm" if program == "npm" else None).setup
    assert setup is not None
    assert wanted in setup.split()


def test_a_program_of_the_host_needs_no_setup() -> None:
    assert resolve_image("oven/bun:1.3", lambda program: f"/usr/bin/{program}").setup is None
    with pytest.raises(UnavailableImageError, match=r"needs bun \(or npm"):
        resolve_image("oven/bun:1.3", lambda _program: None)
