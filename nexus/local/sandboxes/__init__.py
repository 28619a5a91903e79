"""Sandboxes of the engine: their lifecycle, lifetimes, records on disk, volumes and logs."""
