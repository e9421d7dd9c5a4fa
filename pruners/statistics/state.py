"""What is gathered of one layer, and which matrices of it fit the memory limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor, nn

from pruners.layers import conv_groups, native_weight
from pruners.statistics.unfolding import column_length

DEFAULT_FISHER_BLOCK = 50


@dataclass(slots=True)
class LayerState:
    """Running sums of one layer."""

    module: nn.Module
    sums: dict[str, Tensor] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    gates: list[Tensor] = field(default_factory=list)
    positions: int = 0


def accumulate(sums: dict[str, Tensor], name: str, term: Tensor) -> None:
    """Add a term to a running sum that may not have begun."""
    sums[name] = sums[name].add_(term) if name in sums else term.clone()


def fitting_block(states: Iterable[LayerState], needs: frozenset[str], limit: int) -> int:
    """Return the longest Fisher block, halved until all layers' blocks fit the memory limit."""
    block = DEFAULT_FISHER_BLOCK
    if "fisher_blocks" not in needs:
        return block
    numel = sum(native_weight(state.module).numel() for state in states)
    while block > 1 and numel * block * 4 > limit:
        block //= 2
    return block


def refuse_large_grams(states: Iterable[LayerState], needs: frozenset[str], limit: int) -> None:
    """Note which layers' input Gram matrices do not fit, the largest first."""
    if "input_gram" not in needs:
        return
    used = 0
    for state in sorted(states, key=_gram_bytes):
        used += _gram_bytes(state)
        if used > limit:
            state.reasons["input_gram"] = (
                f"its input Gram matrix of {_gram_bytes(state) / 2**20:.0f} MiB exceeds the "
                f"memory limit of {limit / 2**20:.0f} MiB"
            )


def _gram_bytes(state: LayerState) -> int:
    return 4 * conv_groups(state.module) * column_length(state.module) ** 2
