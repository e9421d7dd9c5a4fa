"""Parameters and multiply-adds of a model without a graph."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pruners.batches import Inputs
from pruners.errors import InputError
from pruners.groups.cost import Cost, Kept, Parts, Shapes


class WholeCost:
    """The cost of a model without a graph, counted in one forward pass; nothing is removed from it.

    Args:
        model: The model in eval mode.
        example: An input batch.
    """

    def __init__(self, model: nn.Module, example: Inputs) -> None:
        counter = FlopCounterMode(display=False)
        with _plain_operators(), torch.no_grad(), counter:
            model(example)
        prefix = f"{type(model).__name__}."
        self._layers = {
            str(name).removeprefix(prefix): sum(flops.values()) // 2 // len(example)
            for name, flops in counter.get_flop_counts().items()
        }
        self._dense = Cost(
            params=sum(item.numel() for item in model.parameters()),
            macs=counter.get_total_flops() // 2 // len(example),
        )

    @property
    def dense(self) -> Cost:
        """Cost of the model."""
        return self._dense

    def predict(self, kept: Kept) -> Cost:
        """Return the model's cost.

        Args:
            kept: Empty: there are no groups.

        Raises:
            InputError: A group is named.
        """
        if kept:
            raise InputError(f"unknown group {next(iter(kept))!r}: the model has no groups")
        return self._dense

    def parts(self, choices: Mapping[str, Sequence[int]]) -> tuple[Parts, Parts]:
        """Return parameters and multiply-adds as sums of parts: none, as nothing is removed.

        Args:
            choices: Empty: there are no groups.

        Raises:
            InputError: A group is named.
        """
        self.predict(dict.fromkeys(choices, 1))
        return {}, {}

    def shapes(self, dense: Shapes, kept: Kept) -> Shapes:
        """Return the shapes as they are; see `predict`."""
        self.predict(kept)
        return dense

    def tensor_parts(
        self, dense: Shapes, weights: Sequence[int], choices: Mapping[str, Sequence[int]]
    ) -> Parts:
        """Return no parts; see `parts`."""
        return self.parts(choices)[0]

    def layers(self) -> dict[str, int]:
        """Return the multiply-adds of each module that was run, its children's included."""
        return self._layers


@contextlib.contextmanager
def _plain_operators() -> Iterator[None]:
    """Let torch run attention and recurrent layers as the products that its counter knows."""
    mha, mkldnn = torch.backends.mha, torch.backends.mkldnn
    before = mha.get_fastpath_enabled(), mkldnn.enabled
    mha.set_fastpath_enabled(False)
    # Its own context manager warns about a flag of other processors.
    mkldnn.enabled = False  # type: ignore[assignment]
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        mha.set_fastpath_enabled(before[0])
        mkldnn.enabled = before[1]
