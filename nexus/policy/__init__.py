"""Policies: rules in CEL that every plan is held against, the shipped ones, and what a plan opens. Pure."""

from nexus.policy.judging import Case, Guard
from nexus.policy.openings import openings
from nexus.policy.reading import SECTION, Known, read_policies
from nexus.policy.rules import Rule, Subject

__all__ = ["SECTION", "Case", "Guard", "Known", "Rule", "Subject", "openings", "read_policies"]
