"""The meaning of the shipped rules, in the language of the users' own: conditions that are true where they are broken.

``self`` is what a rule looks at, ``vars`` are its parameters, null where they are not said. Their names and parameters
are declared in :mod:`nexus.schema.policies`, for the schema and the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nexus.policy.rules import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One condition of a shipped rule, in CEL; ``message`` may hold expressions, as a manifest's strings may."""

    subject: Subject
    condition: str
    message: str
    hint: str = ""


_PIP: Final = "|".join(
    (
        r"^[A-Za-z0-9._-]+(\[[^\]]*\])?\s*={2,3}\s*[^*,;\s]+\s*(;.*)?$",  # name[extra]==1.2; markers
        r"@\s*\S+(@[0-9a-f]{40}|#sha256=[0-9a-f]{64})\s*(;.*)?$",  # a commit, or a file with its digest
    )
)
_NPM: Final = r"^(@[^/@]+/)?[^@/]+@v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$"
_APT: Final = "^[^=]+=[^*]+$"


def _loose(manager: str, pattern: str) -> str:
    """The packages of one manager that leave their version open."""
    return f"self.packages.{manager}.filter(name, !name.matches(r'{pattern}'))"


def _locked(manager: str) -> str:
    """Whether the lock file has all versions of one manager, whatever their names leave open."""
    return f"(has(self.packages.lock) && '{manager}' in self.packages.lock)"


def _unpinned(subject: Subject) -> tuple[Meaning, ...]:
    return tuple(
        Meaning(
            subject=subject,
            condition=f"{_loose(manager, pattern)}.size() > 0 && !{_locked(manager)}",
            message=f"Packages of {manager} are not pinned: ${{{{ {_loose(manager, pattern)}.join(', ') }}}}",
            hint=f"name one version, as in {example}",
        )
        for manager, pattern, example in (
            ("pip", _PIP, "httpx==0.27.2"),
            ("npm", _NPM, "typescript@5.6.3"),
            ("apt", _APT, "jq=1.7.1-3"),
        )
    )


def _over(parameter: str, amount: str, words: str) -> Meaning:
    return Meaning(
        subject=Subject.PLAN,
        condition=f"vars.{parameter} != null && self.cost.{amount} > vars.{parameter}",
        message=f"The plan comes to ${{{{ format('$%.2f', self.cost.{amount}) }}}} {words}, "
        f"and the budget is ${{{{ format('$%.2f', vars.{parameter}) }}}}",
        hint="declare fewer or smaller sandboxes, or raise the budget",
    )


def _reaches(network: str, subject: Subject, guard: str = "true") -> tuple[Meaning, ...]:
    strange = f"{network}.allow.filter(item, !(item in vars.allow))"
    return (
        Meaning(
            subject=subject,
            condition=f"{guard} && {network}.internet",
            message="The internet is on",
            hint="write network: {internet: false}, with an allow list where something has to be reached",
        ),
        Meaning(
            subject=subject,
            condition=f"{guard} && vars.allow != null && {strange}.size() > 0",
            message=f"Destinations are allowed that the policy does not know: ${{{{ {strange}.join(', ') }}}}",
            hint="take them out of network.allow, or into the policy's allow",
        ),
    )


SHIPPED: Final[Mapping[str, tuple[Meaning, ...]]] = {
    "no-internet": (
        *_reaches("self.network", Subject.SANDBOX),
        *_reaches("self.sandbox.network", Subject.STEP, guard="has(self.sandbox.network)"),
    ),
    "time-to-live": (
        Meaning(
            subject=Subject.SANDBOX,
            condition="!('timeout' in self.written)",
            message="No time to live is said",
            hint="write timeout: 30m, or how long it has to live",
        ),
        Meaning(
            subject=Subject.SANDBOX,
            condition="vars.maximum != null && self.timeout > vars.maximum",
            message="It lives for ${{ self.timeout }} seconds, and the policy allows ${{ vars.maximum }}",
            hint="shorten timeout; what still is needed then can be extended",
        ),
    ),
    "pinned-packages": (*_unpinned(Subject.SANDBOX), *_unpinned(Subject.TEMPLATE)),
    "required-tags": (
        Meaning(
            subject=Subject.SANDBOX,
            condition="vars.keys.exists(key, !(key in self.metadata))",
            message="The metadata lacks ${{ vars.keys.filter(key, !(key in self.metadata)).join(', ') }}",
            hint="say them in metadata",
        ),
    ),
    "budget": (
        _over("hourly", "hour", "an hour"),
        _over("until_end", "until_end", "until timeout"),
        _over("monthly", "month", "a month"),
    ),
    "no-data-loss": (
        Meaning(
            subject=Subject.CHANGE,
            condition="self.data_loss",
            message="Data would be deleted that nothing else holds",
            hint="undo the change that deletes it, or take the policy away for this one apply",
        ),
    ),
    "no-opening": (
        Meaning(
            subject=Subject.CHANGE,
            condition="self.opens.size() > 0",
            message="The change opens ${{ self.opens.map(item, item.detail).join(', ') }}",
        ),
    ),
}
