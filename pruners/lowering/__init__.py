"""Exported programs without in-place operators, without a second pass over all of them."""

from pruners.lowering.program import decompositions, lower

__all__ = ["decompositions", "lower"]
