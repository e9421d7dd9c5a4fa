"""What residual branches do to what passes by them: block influence."""

from __future__ import annotations

from collections.abc import Container, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from pruners.batches import Inputs
from pruners.capture import device_of
from pruners.errors import InputError
from pruners.float32 import strict
from pruners.groups.groups import Structure


@strict
def block_influence(
    model: nn.Module, structure: Structure, batches: Iterable[tuple[Inputs, Tensor | None]]
) -> dict[str, float]:
    """Return ``1 - E[cos(h_before, h_after)]`` of all that depth pruning may leave out, by id.

    The mean is over all tokens, or positions, of all samples.

    References:
        Men et al.: ShortGPT: Layers in Large Language Models are More Redundant Than You Expect.
        2024, arXiv:2403.03853, equation 1.

    Raises:
        InputError: There are no batches.
    """
    ends = {
        group.id: (group.branches[0].skip, group.branches[-1].total) for group in structure.depth
    }
    # Its nodes keep their names.
    graph = structure.trace.graph.on(device_of(model))
    watch = _Watch(graph.module, {node.name for pair in ends.values() for node in pair})
    sums, count = dict.fromkeys(ends, 0.0), 0
    for inputs, _ in batches:
        with torch.no_grad():
            watch.run(*graph.arguments(model, inputs))
        count += len(inputs)
        for name, (before, after) in ends.items():
            values = watch.found[before.name], watch.found[after.name]
            sums[name] += _dissimilarity(*values) * len(inputs)
    if not count:
        raise InputError("block influence needs calibration data; there is none")
    return {name: total / count for name, total in sums.items()}


def _dissimilarity(before: Tensor, after: Tensor) -> float:
    dim = 1 if before.dim() == 4 else -1
    return 1 - float(F.cosine_similarity(before.double(), after.double(), dim=dim).mean())


class _Watch(fx.Interpreter):
    """Runs a graph and keeps some of its values."""

    def __init__(self, module: fx.GraphModule, watched: Container[str]) -> None:
        super().__init__(module)
        self._watched, self.found = watched, dict[str, Tensor]()

    def run_node(self, n: fx.Node) -> object:
        """Run one node."""
        result = super().run_node(n)
        if n.name in self._watched and isinstance(result, Tensor):
            self.found[n.name] = result
        return result
