"""The controller's window: a page to look at, health for supervisors, metrics for Prometheus. Read-only."""

from nexus.controller.web.app import Window, make_app
from nexus.controller.web.serving import Serving

__all__ = ["Serving", "Window", "make_app"]
