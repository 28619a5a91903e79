"""Worlds in which a manifest was applied, and manifests that differ from others in one place."""

from __future__ import annotations

from tests.fakes.applier import World


def changed(old: str, new: str, manifest: str) -> str:
    assert old in manifest
    return manifest.replace(old, new)


def applied(manifest: str) -> World:
    world = World()
    world.apply(manifest)
    assert world.plan(manifest).is_empty
    return world


def settled(world: World, manifest: str) -> None:
    world.apply(manifest)
    assert world.plan(manifest).is_empty
