"""YAML text → plain values with places; includes, variables, the sources of secrets, and the project's files."""

from nexus.manifest.editing import NotEditable, with_item, with_value, without
from nexus.manifest.environments import declared_environments, environment_called, overlay_files
from nexus.manifest.files import OWN_FOLDER, ProjectFiles
from nexus.manifest.formatting import formatted
from nexus.manifest.git import COMMAND as GIT_COMMAND
from nexus.manifest.git import git_environment
from nexus.manifest.layout import NotFormattable
from nexus.manifest.loading import MANIFEST_NAME, SECTIONS, Manifest, find_project, read
from nexus.manifest.lockfile import LOCK_NAME, format_lock, parse_lock, read_lock, write_lock
from nexus.manifest.revisions import commit_of, files_at
from nexus.manifest.saving import save
from nexus.manifest.secrets import read_secret, resolve_secrets
from nexus.manifest.source_map import Path, SourceMap
from nexus.manifest.variables import (
    DEFAULT_ENVIRONMENT,
    Variable,
    check_variables,
    declared_variables,
    resolve_variables,
)
from nexus.manifest.yaml_reader import Document, Plain, read_yaml

__all__ = [
    "DEFAULT_ENVIRONMENT",
    "GIT_COMMAND",
    "LOCK_NAME",
    "MANIFEST_NAME",
    "OWN_FOLDER",
    "SECTIONS",
    "Document",
    "Manifest",
    "NotEditable",
    "NotFormattable",
    "Path",
    "Plain",
    "ProjectFiles",
    "SourceMap",
    "Variable",
    "check_variables",
    "commit_of",
    "declared_environments",
    "declared_variables",
    "environment_called",
    "files_at",
    "find_project",
    "format_lock",
    "formatted",
    "git_environment",
    "overlay_files",
    "parse_lock",
    "read",
    "read_lock",
    "read_secret",
    "read_yaml",
    "resolve_secrets",
    "resolve_variables",
    "save",
    "with_item",
    "with_value",
    "without",
    "write_lock",
]
