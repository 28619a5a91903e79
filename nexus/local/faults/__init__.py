"""Failures on purpose: rules that say which requests fail and how, of the control plane and of traffic to sandboxes."""
