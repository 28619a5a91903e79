"""Certificate authorities in the base of machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.local.storage.authorities import AUTHORITY, add_authority

PEM = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base with a bundle of mode 0640, over a lent /usr."""
    base = tmp_path / "base"
    (base / "usr").mkdir(parents=True)
    write(base / "root", BUNDLE, "theirs").chmod(0o640)
    return base


def write(root: Path, path: str, text: str) -> Path:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def test_it_is_added_once_and_found_by_itself(base: Path) -> None:
    for _ in range(2):
        assert add_authority(base, PEM) == BUNDLE
    bundle = base / "root" / BUNDLE.lstrip("/")
    assert bundle.read_text() == f"theirs\n{PEM}"
    assert bundle.stat().st_mode & 0o777 == 0o640
    assert (base / AUTHORITY.lstrip("/")).read_text() == PEM
    assert [entry.name for entry in bundle.parent.iterdir()] == [bundle.name]


def test_a_base_that_is_a_whole_root_has_it_there(base: Path) -> None:
    (base / "usr").rmdir()
    add_authority(base, PEM)
    assert (base / "root" / AUTHORITY.lstrip("/")).read_text() == PEM


def test_bundles_that_the_host_names_get_it_too(base: Path) -> None:
    mine = write(base / "root", "/etc/company/ca.pem", "company")
    add_authority(base, PEM, ["/etc/company/ca.pem", "/etc/missing.pem", "/usr/share/ca.pem"])
    assert mine.read_text() == f"company\n{PEM}"


def test_without_a_bundle_there_is_none_to_name(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    assert add_authority(tmp_path, PEM) is None


@pytest.mark.parametrize("absolute", [True, False])
def test_links_never_lead_out_of_the_base(base: Path, tmp_path: Path, absolute: bool) -> None:
    hosts = write(tmp_path, "/etc/bundle.pem", "the host's")
    inner = write(base / "root", f"{tmp_path}/etc/bundle.pem" if absolute else "/etc/bundle.pem", "the machine's")
    link = base / "root" / BUNDLE.lstrip("/")
    link.unlink()
    link.symlink_to(hosts if absolute else "../../../../../../etc/bundle.pem")
    assert add_authority(base, PEM) == BUNDLE
    assert hosts.read_text() == "the host's"
    assert inner.read_text() == f"the machine's\n{PEM}"


def test_links_without_end_are_given_up(base: Path) -> None:
    link = base / "root" / BUNDLE.lstrip("/")
    link.unlink()
    link.symlink_to(link.name)
    assert add_authority(base, PEM) is None
