"""The local engine: an E2B-compatible server that makes real isolated sandboxes on this host.

From outside, :mod:`nexus.local.daemon` starts, finds and stops it; everything else is reached over HTTP.
"""
