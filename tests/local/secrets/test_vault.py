from __future__ import annotations

import pytest

from nexus.local.secrets import SealError, Vault


def test_what_is_sealed_opens_for_its_engine_and_purpose_alone() -> None:
    vault = Vault("key-one")
    sealed = vault.seal("the value", "secret:a:1")
    assert "the value" not in sealed
    assert vault.open(sealed, "secret:a:1") == "the value"
    assert Vault("key-one").open(sealed, "secret:a:1") == "the value"
    for other, purpose in ((vault, "secret:a:2"), (vault, "secret:b:1"), (Vault("key-two"), "secret:a:1")):
        with pytest.raises(SealError):
            other.open(sealed, purpose)


def test_damaged_seals_are_told_from_whole_ones() -> None:
    vault = Vault("key")
    sealed = vault.seal("the value", "x")
    other = "B" if sealed.startswith("A") else "A"
    for damaged in ("", "no base64!", sealed[:-8], other + sealed[1:]):
        with pytest.raises(SealError):
            vault.open(damaged, "x")


def test_the_same_text_is_never_sealed_alike() -> None:
    vault = Vault("key")
    assert vault.seal("text", "x") != vault.seal("text", "x")


def test_signing_keys_belong_to_engine_and_purpose() -> None:
    number = Vault("key").signing_key("egress").private_numbers().private_value
    assert Vault("key").signing_key("egress").private_numbers().private_value == number
    assert Vault("key").signing_key("identity").private_numbers().private_value != number
    assert Vault("other").signing_key("egress").private_numbers().private_value != number
