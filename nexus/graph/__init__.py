"""The desired graph: what should exist, instance by instance, and who needs whom. Pure."""

from nexus.graph.building import build
from nexus.graph.dag import CycleError, Dag
from nexus.graph.desired import DesiredGraph, Inputs, Kinds, OutputSpec

__all__ = ["CycleError", "Dag", "DesiredGraph", "Inputs", "Kinds", "OutputSpec", "build"]
