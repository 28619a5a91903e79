"""What is asked of the kernel's control groups, in both of their versions, on folders that stand for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.local.isolation.base import Limits
from nexus.local.isolation.cgroups import Hierarchies, MachineGroup, find_hierarchies

LIMITS = Limits(cpu_count=2, memory_mb=512, processes=100)


def mountinfo(folder: Path, *mounts: tuple[Path, str, str]) -> Path:
    lines = [
        f"{number} 1 0:{number} / {path} rw - {kind} {kind} rw,{options}"
        for number, (path, kind, options) in enumerate(mounts)
    ]
    file = folder / "mountinfo"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_version_2_limits_memory_processes_and_cpu(tmp_path: Path) -> None:
    root = tmp_path / "v2"
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (root / "cgroup.subtree_control").write_text("cpu memory pids\n")
    found = find_hierarchies(mountinfo(tmp_path, (root, "cgroup2", "nsdelegate")))
    # The kernel keeps what was on; a file takes the last word written.
    found = Hierarchies(v2=found.v2, v2_controllers=frozenset({"cpu", "memory", "pids"}))
    assert found.limits == {"memory", "pids", "cpu"}
    assert found.can_freeze
    group = MachineGroup(found, "nexus-test")
    group.create(LIMITS)
    made = {path.name: path.read_text() for path in (root / "nexus-test").iterdir()}
    assert made == {"memory.max": str(512 * 1024 * 1024), "pids.max": "100", "cpu.max": "200000 100000"}


def test_version_1_limits_each_in_its_hierarchy(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("memory", "pids", "cpu", "freezer")}
    for folder in folders.values():
        folder.mkdir()
    mounts = [(path, "cgroup", name) for name, path in folders.items()]
    found = find_hierarchies(mountinfo(tmp_path, *mounts))
    assert found.limits == {"memory", "pids", "cpu"}
    group = MachineGroup(found, "nexus-test")
    group.create(LIMITS)
    assert (folders["memory"] / "nexus-test/memory.limit_in_bytes").read_text() == str(512 * 1024 * 1024)
    assert (folders["pids"] / "nexus-test/pids.max").read_text() == "100"
    assert (folders["cpu"] / "nexus-test/cpu.cfs_quota_us").read_text() == "200000"
    assert (folders["freezer"] / "nexus-test").is_dir()


def test_version_2_counts_page_cache_apart_from_memory(tmp_path: Path) -> None:
    group = MachineGroup(Hierarchies(v2=tmp_path, v2_controllers=frozenset({"memory", "cpu"})), "box")
    group.create(LIMITS)
    (tmp_path / "box/memory.current").write_text("1000000\n")
    (tmp_path / "box/memory.stat").write_text("anon 600000\nfile 300000\n")
    (tmp_path / "box/cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\n")
    accounts = group.accounts()
    assert (accounts.memory, accounts.cache) == (1_000_000, 300_000)
    assert accounts.cpu_seconds == pytest.approx(2.5)


def test_groups_that_cannot_be_written_limit_nothing(tmp_path: Path) -> None:
    found = find_hierarchies(mountinfo(tmp_path, (tmp_path / "missing", "cgroup2", "ro")))
    assert found.limits == frozenset()
    assert not found.can_freeze
