"""Fused kernels for few rows, where they run; elsewhere the layers' own code does the work."""

from .choice import add_experts, block, verdicts

__all__ = ["add_experts", "block", "verdicts"]
