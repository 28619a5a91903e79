"""The schema of manifests: checks with places, and the JSON Schema for editors, both made from the kinds' tables."""

from nexus.schema.checking import check, check_value
from nexus.schema.document import manifest_schema, manifest_schema_text

__all__ = ["check", "check_value", "manifest_schema", "manifest_schema_text"]
