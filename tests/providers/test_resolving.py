"""What package managers say of requirements, as closures; and the scripts that install these."""

from __future__ import annotations

from typing import Any

from nexus.kinds.packages import Pins
from nexus.model.lockfile import Closure
from nexus.providers.e2b.resolving import apt_closure, npm_closure, pip_closure
from nexus.providers.e2b.sandbox import pinned

SIMULATED = """\
Reading package lists...
Inst libjq1 (1.7.1-3 Debian:13/stable [amd64])
Inst libc6 [2.41-12] (2.41-12+deb13u1 Debian:13/stable [amd64]) []
Inst jq (1.7.1-3 Debian:13/stable [amd64])
Conf jq (1.7.1-3 Debian:13/stable [amd64])
=installed libc6 2.41-12
=config-files old 1.0
=installed git 1:2.47.3
"""


def distribution(name: str, version: str, *needs: str, installer: str | None = "pip", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "version": version, "requires_dist": needs}, "installer": installer, **more}


def closure(install: list[dict[str, Any]], installed: list[dict[str, Any]], *requirements: str) -> Closure:
    environment = {"python_version": "3.11", "sys_platform": "linux"}
    return pip_closure({"install": install}, {"installed": installed, "environment": environment}, requirements)


def test_apt_locks_what_it_would_install_and_what_it_finds() -> None:
    found = apt_closure(SIMULATED, ["git", "jq"])
    assert found.added == {"jq": "1.7.1-3", "libjq1": "1.7.1-3"}
    assert found.base == {"git": "1:2.47.3", "libc6": "2.41-12+deb13u1"}


def test_pip_locks_what_it_would_install_under_plain_names() -> None:
    found = closure([distribution("Pandas_Next", "2.0", "numpy"), distribution("numpy", "2.1")], [], "pandas.next")
    assert found == Closure(added={"pandas-next": "2.0", "numpy": "2.1"})


def test_what_the_template_brings_is_locked_where_it_is_needed_or_was_put_there_by_pip() -> None:
    installed = [
        distribution("numpy", "1.26"),
        distribution("scipy", "1.11"),
        distribution("six", "1.16", installer=None),
        distribution("yaml", "6.0", installer=None),
        distribution("pip", "24.0"),
    ]
    found = closure([distribution("lib", "1", "six>=1", "yaml; sys_platform == 'win32'")], installed, "lib")
    assert found.added == {"lib": "1"}
    assert found.base == {"numpy": "1.26", "scipy": "1.11", "six": "1.16"}


def test_what_an_install_would_upgrade_is_still_the_templates() -> None:
    found = closure([distribution("numpy", "2.1")], [distribution("numpy", "1.26")], "numpy>=2")
    assert found == Closure(base={"numpy": "2.1"})


def test_extras_bring_what_they_need() -> None:
    installed = [
        distribution("requests", "2", "urllib3", "pysocks; extra == 'socks'", installer=None),
        distribution("urllib3", "2", installer=None),
        distribution("PySocks", "1.7", installer=None),
    ]
    assert closure([], installed, "requests").base == {"requests": "2", "urllib3": "2"}
    assert closure([], installed, "requests[socks]").base == {"requests": "2", "urllib3": "2", "pysocks": "1.7"}


def test_what_comes_from_a_url_is_locked_by_it() -> None:
    wheel = distribution("tool", "1", is_direct=True, download_info={"url": "https://files/tool-1.whl"})
    commit = {"vcs": "git", "commit_id": "abc"}
    cloned = distribution("lib", "1", is_direct=True, download_info={"url": "https://host/lib", "vcs_info": commit})
    assert closure([wheel, cloned], []).added == {
        "tool": "@ https://files/tool-1.whl",
        "lib": "@ git+https://host/lib@abc",
    }


def test_npm_locks_each_package_by_itself_and_no_registry() -> None:
    entry = {"version": "3.0.1", "resolved": "https://mirror/is-odd.tgz", "integrity": "sha512-x", "license": "MIT"}
    cloned = {"version": "1.0.0", "resolved": "git+ssh://host/tool.git#abc", "bin": {"tool": "cli.js"}}
    found = npm_closure(
        [
            {"packages": {"": {"dependencies": {"is-odd": "^3"}}, "node_modules/is-odd": entry}},
            {"packages": {"": {"name": "x", "dependencies": {"@me/tool": "git"}}, "node_modules/@me/tool": cloned}},
        ]
    )
    assert found.added == {"is-odd": "3.0.1", "@me/tool": "1.0.0"}
    assert found.files["is-odd"] == {
        "": {"dependencies": {"is-odd": "^3"}},
        "node_modules/is-odd": {"version": "3.0.1", "integrity": "sha512-x"},
    }
    assert found.files["@me/tool"] == {"": {"dependencies": {"@me/tool": "git"}}, "node_modules/@me/tool": cloned}


def test_what_no_version_is_locked_for_any_more_goes() -> None:
    pins = Pins(("colour==2.0",), ("six==1.16",))
    assert pinned.obsolete("pip", ["colour", "Colour==1.0", "shade==1.0", "six"], pins) == ("shade",)


def test_nothing_is_resolved_again() -> None:
    pins = Pins(("colour==2.0",), ("six==1.16",))
    assert pinned.pip(pins, ("shade",)).splitlines() == [
        '"${pip[@]}" uninstall -y -q shade',
        '"${pip[@]}" install -q --progress-bar off --no-deps colour==2.0 six==1.16',
    ]
    assert pinned.apt(Pins(("jq=1.7",)), ()) == "install jq=1.7\n"
    assert "npm ci" in pinned.npm(Pins(("typescript@5.6.2",)), (), "locks")
