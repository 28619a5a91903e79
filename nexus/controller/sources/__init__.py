"""Where a project's files come from: a folder of this machine, or a Git repository."""

from nexus.controller.sources.base import Revision, Source
from nexus.controller.sources.folder import FolderSource
from nexus.controller.sources.git import GitSource
from nexus.controller.sources.program import without_credentials

__all__ = ["FolderSource", "GitSource", "Revision", "Source", "without_credentials"]
