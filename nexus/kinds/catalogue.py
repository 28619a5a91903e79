"""The kind of the catalogue's templates: implicit resources that a manifest names and never declares."""

from __future__ import annotations

from nexus.kinds import catalogue_builds
from nexus.kinds.base import Field, Normalising, Unit
from nexus.kinds.definitions import BASE_IMAGE, DEFINITIONS, Definition, definition
from nexus.kinds.packages import no_packages
from nexus.kinds.readiness import DEFAULT_TIMEOUT
from nexus.kinds.template import TemplateSpec, template_from
from nexus.kinds.template_fields import FIELDS, PROMOTED_FROM
from nexus.model.addresses import Address
from nexus.model.diagnostics import error
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Attributes, Value

CatalogueSpec = TemplateSpec
_USER = "user"


def catalogue_address(word: object) -> Address | None:
    """The resource that ``template: word`` means, or None when the word is not the catalogue's."""
    found = definition(word) if isinstance(word, str) else None
    return None if found is None else Address("catalogue", found.name)


class CatalogueKind:
    """The kind ``catalogue``. It has no section: its blocks are :data:`nexus.kinds.definitions.DEFINITIONS`."""

    name = "catalogue"
    section = ""
    fields: tuple[Field, ...] = tuple(
        field for field in FIELDS.values() if not field.meta and not field.folds_into and field is not PROMOTED_FROM
    )

    def normalise(self, attributes: Attributes, context: Normalising) -> Attributes:  # noqa: ARG002
        """The definition's attributes; those given are not looked at."""
        address = context.spec.address
        found = DEFINITIONS.get(address.name)
        if found is None:
            context.diagnostics.add(
                error(
                    "unknown-template",
                    "The catalogue has no such template",
                    detail=f"{address.name} is none of {', '.join(DEFINITIONS)}.",
                    address=str(address),
                    range=context.spec.source,
                )
            )
            return {}
        return _attributes(found, context)

    def units(self, attributes: Attributes) -> tuple[Unit, ...]:  # noqa: ARG002 - a build is one operation
        return ()

    def outputs(self, attributes: Attributes, record: ResourceRecord | None) -> Attributes:
        known = {name: attributes[name] for name in ("address", "name", "reference", "language", "env_vars")}
        return {
            **known,
            "id": UNKNOWN if record is None else record.id,
            "build_id": UNKNOWN if record is None else record.outputs.get("build_id", UNKNOWN),
        }

    def decode(self, attributes: Attributes) -> CatalogueSpec:
        return template_from(attributes)


def _attributes(found: Definition, context: Normalising) -> Attributes:
    ready: Value = None
    if found.ready_port is not None:
        ready = {"port": found.ready_port, "timeout": DEFAULT_TIMEOUT}
    return {
        "address": f"catalogue.{found.name}",
        "name": catalogue_builds.e2b_template(found),
        "reference": catalogue_builds.reference(found),
        "language": found.language,
        "base_template": {"image": BASE_IMAGE},
        "packages": no_packages(),
        "env_vars": dict(found.env_vars),
        "uploads": [_upload(path, content, context) for path, content in found.files.items()],
        "run_commands": [*found.run_commands],
        "startup_script": None,
        "start_command": found.start_command,
        "ready": ready,
        "user": _USER,
        "cpu": None,
        "memory": found.memory,
        "tags": [],
        "public": False,
    }


def _upload(path: str, content: str, context: Normalising) -> Value:
    digest, tree = context.files.inline(content, 0o644)
    context.trees[digest] = tree
    return {"path": path, "tree": digest, "user": _USER}
