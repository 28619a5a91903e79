"""What a template builds on, and what sandboxes are made from: names of the catalogue, of E2B, or resources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nexus.kinds import catalogue_builds
from nexus.kinds.block import Block
from nexus.kinds.conflicts import BASES, conflicts
from nexus.kinds.definitions import BASE_IMAGE, definition
from nexus.kinds.identity import instance_of, kind_of
from nexus.kinds.reading import InvalidValue, inside, line, mapping, shown, spread, text
from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.values import UNKNOWN, Sensitive, Unknown, Value, digest

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*(:[A-Za-z0-9_.-]+)?")
_IMAGE_LANGUAGES = {"python": "python", "node": "node", "ubuntu": "base", "debian": "base", BASE_IMAGE: "base"}


class BaseSource(StrEnum):
    TEMPLATE = "template"
    IMAGE = "image"
    DOCKERFILE = "dockerfile"


@dataclass(frozen=True, slots=True)
class BaseSpec:
    """``value`` is a template's reference, an image's name, or the text of a Dockerfile."""

    source: BaseSource
    value: str


@dataclass(frozen=True, slots=True)
class Base:
    """What is known of a base: its normalised ``value``, its language (text or UNKNOWN), its environment.

    ``word`` is what the lock file calls it: the same for all builds of it, and "" where nobody knows it yet.
    """

    value: Value
    language: Value = ""
    env_vars: Mapping[str, Value] = field(default_factory=dict)
    word: str = ""


def template_base(value: Value) -> Base:
    """A template by name, or the outputs of one: ``value`` is its reference. Raises InvalidValue."""
    match value:
        case Unknown():
            return Base(UNKNOWN, UNKNOWN)
        case Sensitive():
            raise InvalidValue("written without secrets")
        case dict() if kind_of(value) in ("template", "catalogue"):
            env_vars = value.get("env_vars")
            return Base(
                value.get("reference", UNKNOWN),
                value.get("language", ""),
                env_vars if isinstance(env_vars, dict) else {},
                word=str(Address.parse(str(value["address"])).group),
            )
        case dict() if kind_of(value):
            raise InvalidValue(f"a template, not {value['address']}", code="wrong-type")
        case dict():
            raise InvalidValue("the name of a template, or a reference to one", code="wrong-type")
        case _:
            return _named(line(value))


def _named(name: str) -> Base:
    found = definition(name)
    if found is not None:
        word = f"catalogue.{found.name}"
        return Base(catalogue_builds.reference(found), found.language, dict(found.env_vars), word=word)
    if not _REFERENCE.fullmatch(name):
        raise InvalidValue(f"the name of a template, not {shown(name)}")
    return Base(name, word=name)


def read_base(block: Block) -> Base:
    """What a template's fields base_template, image and dockerfile say; nothing said means the catalogue's base."""
    written = [name for name in BASES if block.has(name)]
    block.refuse_conflicts(conflicts("template", block.attributes))
    name = written[0] if written else "base_template"
    value = block.raw(name) if written else block.fields[name].default
    try:
        return _read(name, value, block)
    except InvalidValue as problem:
        block.report(name, problem)
    except DiagnosticsError as problems:
        block.adopt(name, problems)
    return Base({"template": UNKNOWN}, UNKNOWN)


def _read(name: str, value: Value, block: Block) -> Base:
    if name == "base_template":
        value = instance_of(value, block.context.spec.each)
        if not isinstance(value, dict) or kind_of(value):
            base = template_base(value)
            return Base({"template": base.value}, base.language, base.env_vars, word=base.word)
        if list(value) == ["template"]:
            return Base({"template": inside(value["template"], line)}, block.attributes.get("language", ""))
        if list(value) not in (["image"], ["dockerfile"]):
            raise InvalidValue("the name of a template, a reference to one, or one of image: and dockerfile:")
        name, value = next(iter(value.items()))
    value = spread(value)
    if isinstance(value, Unknown | Sensitive):
        raise InvalidValue("known before the apply, and no secret", code="unknown-too-early")
    return _image(value) if name == "image" else _dockerfile(text(value), block)


def _image(value: Value) -> Base:
    image = line(value)
    if not re.fullmatch(r"[a-z0-9][A-Za-z0-9_./:@-]*", image):
        raise InvalidValue(f"the name of an image such as ubuntu:24.04, not {shown(image)}")
    return Base({"image": image}, image_language(image), word=f"image {image}")


def image_language(image: str) -> str:
    """The language of well-known images, "" of others."""
    repository = image.partition("@")[0].rsplit(":", 1)[0] if ":" in image.rpartition("/")[2] else image
    return _IMAGE_LANGUAGES.get(repository.removeprefix("docker.io/").removeprefix("library/"), "")


def _dockerfile(value: str, block: Block) -> Base:
    content = value if "\n" in value or value.upper().startswith("FROM ") else block.context.files.text(value)
    instructions = re.findall(r"^\s*([A-Za-z]+)\s+(.*)$", re.sub(r"\\\r?\n", " ", content), re.MULTILINE)
    sources = [argument for word, argument in instructions if word.upper() == "FROM"]
    if not sources:
        raise InvalidValue("a Dockerfile with a FROM line, or the path of one")
    if len(sources) > 1:
        raise InvalidValue("a Dockerfile of one stage: E2B's builder has no more")
    if any(word.upper() in ("COPY", "ADD") for word, _ in instructions):
        raise InvalidValue(
            "a Dockerfile without COPY and ADD", hint="use uploads: of the template, which notices changed files too"
        )
    word = f"dockerfile {digest(content)}"
    return Base({"dockerfile": content}, image_language(sources[0].split()[0]), word=word)


def base_from(value: Value) -> BaseSpec:
    """The typed form of a known, normalised value."""
    source, item = next(iter(mapping(value).items()))
    return BaseSpec(BaseSource(source), text(item))
