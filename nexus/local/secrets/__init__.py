"""Secrets that clients store under a name and never read back: sealed on disk, opened where requests leave."""

from nexus.local.secrets.registry import Secret, SecretRegistry
from nexus.local.secrets.vault import SealError, Vault

__all__ = ["SealError", "Secret", "SecretRegistry", "Vault"]
