"""nexus: declarative infrastructure as code for E2B sandboxes."""

__version__ = "0.1.0"
"""The same as in the package's metadata, but there without reading it from disk."""
