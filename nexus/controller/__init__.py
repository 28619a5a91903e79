"""The controller: keeps environments as they are written, in a folder or in a Git repository. The trip, repeated.

It decides when, and by policy whether; what to change, and how, is the projects' own to say (``nexus.api``). A watch
for each source and a keeper for each environment work apart from each other; the board says how each of them stands.
"""

from nexus.controller.approvals import Waiting
from nexus.controller.assembling import assemble, folder_of_project, name_of_repository
from nexus.controller.controller import Controller
from nexus.controller.logs import Log, heard
from nexus.controller.places import Places, find_waiting
from nexus.controller.reading import parse_address, read_settings
from nexus.controller.settings import (
    EnvironmentSettings,
    GitPlace,
    Key,
    Policy,
    ProjectSettings,
    Settings,
    WebhookSettings,
)
from nexus.controller.status import Phase
from nexus.controller.traces import Traces, exporting

__all__ = [
    "Controller",
    "EnvironmentSettings",
    "GitPlace",
    "Key",
    "Log",
    "Phase",
    "Places",
    "Policy",
    "ProjectSettings",
    "Settings",
    "Traces",
    "Waiting",
    "WebhookSettings",
    "assemble",
    "exporting",
    "find_waiting",
    "folder_of_project",
    "heard",
    "name_of_repository",
    "parse_address",
    "read_settings",
]
