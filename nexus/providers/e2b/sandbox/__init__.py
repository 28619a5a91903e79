"""Sandboxes: their life as E2B sees it, and the setup units inside them."""

from nexus.providers.e2b.sandbox.handler import SandboxHandler

__all__ = ["SandboxHandler"]
