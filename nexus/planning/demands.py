"""What a lock file has to pin: the packages that blocks ask for, what they upload, what they are made from. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from nexus.kinds.template_fields import SPEC_TAG
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, error
from nexus.model.lockfile import LockedSet, Requirements
from nexus.model.state import FileEntry, Tree
from nexus.model.values import digest, is_wholly_known
from nexus.planning.evaluate import Evaluated, Evaluation
from nexus.planning.request import PlanRequest

_LOCKED_KINDS: Final = ("sandbox", "template")
_EMPTY: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Packages that one instance asks for, on a base. ``block`` is what the lock file calls the block."""

    address: Address
    block: str
    base: str
    requirements: Requirements


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """``uploads`` are digests by path, by address; ``templates`` names of those that nexus does not build."""

    packages: tuple[Demand, ...] = ()
    uploads: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    templates: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


def demands(request: PlanRequest) -> Demands:
    """Everything that the request's graph asks for. What is wrong, or known only after an apply, is an error."""
    asking = _Asking()
    evaluation = Evaluation(replace(request, lock=asking))
    found: list[Evaluated] = []
    for address in request.graph.dag.order():
        asking.address = address
        try:
            found.append(evaluated := evaluation.evaluate(address))
            if not is_wholly_known(evaluated.concealed.get("packages")):
                asking.diagnostics.add(_unknown(address, "Its packages"))
        except DiagnosticsError as problem:
            asking.diagnostics.extend(problem.diagnostics)
        evaluation.publish(address, None)
    uploads = {str(item.spec.address): uploads_of(item) for item in found}
    return Demands(
        packages=tuple(asking.found),
        uploads={address: paths for address, paths in uploads.items() if paths},
        templates=tuple(sorted({name for item in found for name in _foreign(item)})),
        diagnostics=asking.diagnostics.sorted(),
    )


def uploads_of(evaluated: Evaluated) -> dict[str, str]:
    """Digests of what a resource uploads, by path, as the lock file has them. Secret content has none."""
    uploads = evaluated.concealed.get("uploads") if evaluated.spec.address.kind in _LOCKED_KINDS else None
    found: dict[str, str] = {}
    for item in uploads if isinstance(uploads, list) else ():
        tree = evaluated.trees.get(str(item.get("tree"))) if isinstance(item, dict) else None
        if isinstance(item, dict) and tree is not None and not any(map(_is_secret, tree.values())):
            found[str(item["path"])] = _content_digest(tree)
    return found


def _content_digest(tree: Tree) -> str:
    """Unlike that of a tree: of a mode only whether a file may be run counts, for git keeps no more of it."""
    return digest([[path, entry.digest, bool(entry.mode & 0o100)] for path, entry in sorted(tree.items())], length=32)


def _is_secret(entry: FileEntry) -> bool:
    """Its digest is keyed with the state's own key, so others have another one."""
    return entry.size == 0 and entry.digest != _EMPTY


def _foreign(evaluated: Evaluated) -> Iterator[str]:
    """Names of templates that E2B, or somebody else, has built."""
    attributes = evaluated.concealed
    base = attributes.get("base_template")
    for name in (attributes.get("template"), base.get("template") if isinstance(base, dict) else None):
        if isinstance(name, str) and evaluated.spec.address.kind in _LOCKED_KINDS:
            tag = name.partition(":")[2]
            if not tag.startswith(SPEC_TAG):
                yield name


@dataclass(slots=True)
class _Asking:
    """Stands in the place of a lock file, and notes what is looked for in it."""

    address: Address = field(default_factory=lambda: Address("sandbox", ""))
    found: list[Demand] = field(default_factory=list)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)

    def find(self, block: str, base: str, requirements: Requirements) -> LockedSet | None:
        if self.address.kind in _LOCKED_KINDS:
            if not base:
                self.diagnostics.add(_unknown(self.address, "Its template"))
            self.found.append(Demand(address=self.address, block=block, base=base, requirements=requirements))
        return None

    def refusal(self, block: str, base: str, requirements: Requirements) -> str:  # noqa: ARG002 - see Pinning
        return ""


def _unknown(address: Address, what: str) -> Diagnostic:
    return error(
        "lock-unknown",
        "What is to be locked is known only after an apply",
        detail=f"{what} can't be told before.",
        hint="write it without outputs of other resources, so that it can be locked",
        address=str(address),
    )
