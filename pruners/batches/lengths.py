"""Lengths of text for which a captured graph is what its model computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import fx

from pruners.batches.tensors import Inputs, parts_of, text_lengths

# Texts of so many tokens more are as long as any.
LONG = 2**20
Lengths = tuple[int, int | None]


def lengths_of(
    module: fx.GraphModule, inputs: Sequence[str], example: Inputs
) -> dict[str, Lengths]:
    """Return for how many tokens a graph is right: code that asks for their number was not kept.

    Args:
        module: What was captured, with its symbolic sizes.
        inputs: Its placeholders, one for each part of the example.
        example: What it was captured with.

    Returns:
        Placeholder name -> fewest and most tokens a sample, None for no end; those of any length
        are left out.
    """
    values = {node.name: node.meta.get("val") for node in module.graph.nodes}
    texts, found = text_lengths(example), {}
    for name, part in zip(inputs, parts_of(example), strict=True):
        if part.dim() > 1 and part.shape[1] in texts:
            found[name] = _lengths_of(values[name].shape[1], part.shape[1])
    return {name: item for name, item in found.items() if item != (1, None)}


def _lengths_of(size: Any, length: int) -> Lengths:
    """Return the lengths around one that the conditions of a captured size allow."""
    # It brings the compiler, which takes seconds.
    from torch.fx.experimental.symbolic_shapes import is_concrete_int

    if is_concrete_int(size):
        return length, length
    symbol, guards = size.node.expr, size.node.shape_env.guards
    # Those of the number of samples, too, are about strides.
    asked = [guard.expr for guard in guards if guard.expr.free_symbols == {symbol}]
    # A single length may be left out of those on both sides of it: `if length == 64`.
    named = {int(item) for expression in asked for item in expression.atoms() if item.is_Integer}

    def holds(other: int) -> bool:
        try:
            return all(bool(expression.subs(symbol, other) == True) for expression in asked)  # noqa: E712
        except (AssertionError, ArithmeticError):  # Sizes below zero, remainders of zero.
            return False

    def reach(way: int, most: int) -> int:
        """Return how many tokens more, or fewer, hold; that is looked up in halves."""
        left_out = [way * (item - length) for item in named if not holds(item)]
        most = min([item - 1 for item in left_out if item > 0] + [most])
        if holds(length + way * most) and holds(length + way):
            return most
        known, failed = 0, most
        while failed - known > 1:
            middle = min(2 * known + 1, (known + failed) // 2)
            known, failed = (middle, failed) if holds(length + way * middle) else (known, middle)
        return known

    more = reach(1, LONG)
    return length - reach(-1, length - 1), None if more == LONG else length + more


def length_words(lengths: Lengths) -> str:
    """Return lengths of text for a person.

    >>> length_words((9, 9)), length_words((9, None)), length_words((1, 32))
    ('9 tokens', '9 tokens or more', '1 to 32 tokens')
    """
    low, high = lengths
    if high is None:
        return f"{low:,} tokens or more"
    return f"{low:,} tokens" if low == high else f"{low:,} to {high:,} tokens"
