"""Edits in bfloat16, with the close answers done again in the model's own precision.

bfloat16 halves the memory of every value and, on processors with instructions for it, about doubles
the speed of convolutions. Its rounding can swap two classes only where their logits are close. How
close is measured, not assumed: by how much the gap between the two largest logits differs between
the precisions, at most, on the batch's dense pass and on each edit's own recomputed samples.
Samples with a smaller gap are run again exactly, so that top-1 answers are those of the exact sweep
but for rare outliers; `python -m benchmarks.exact_sweep --precision bf16` counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from analysis.engine.evaluator import Evaluator, KeptBatch
from analysis.engine.weights import State
from pruners.capture import Graph
from pruners.errors import UnsupportedError

Gaps = Callable[[Tensor, Tensor], Tensor]

# Relative to the largest logit: rounding of bfloat16 stays below, a wrong program does not.
SELF_CHECK_TOLERANCE = 0.1


class ReducedEvaluator(Evaluator):
    """An evaluator that runs edits in bfloat16, and close answers again in full precision.

    Args:
        exact: The evaluator of the same model in full precision.
        graph: The captured model.
        example: Inputs ``(2, ...)`` on which the program is checked.
        gaps: By how much each answer leads the next one, ``(N,)``: ``gaps(outputs, ranking)`` are
            those of ``outputs`` between the first two answers of ``ranking``; see
            `analysis.tasks`.

    Raises:
        UnsupportedError: The model does not run in bfloat16; the message says why.
    """

    def __init__(
        self, exact: Evaluator, graph: Graph | None, example: Tensor, *, gaps: Gaps
    ) -> None:
        if graph is None or exact.program is None:
            raise UnsupportedError(
                f"bf16 needs the captured graph ({exact.fallback_reason}); use precision float32"
            )
        super().__init__(
            exact.model,
            graph,
            example=example,
            memory_limit=exact.memory_limit,
            dtype=torch.bfloat16,
            tolerance=SELF_CHECK_TOLERANCE,
        )
        if self.program is None:
            raise UnsupportedError(
                f"the model does not run in bf16: {self.fallback_reason}; use precision float32"
            )
        self._exact = exact
        self._gaps = gaps

    @torch.inference_mode()
    def dense(self, inputs: Tensor, *, edits: Iterable[Iterable[str]] | None = None) -> KeptBatch:
        """Run the model in both precisions; keep the reduced values and the exact outputs."""
        reduced = super().dense(inputs, edits=edits)
        exact = self._exact.outputs(inputs, {})
        margin = self._error_of_gaps(reduced.outputs, exact)
        return replace(reduced, outputs=exact, margin=margin)

    @torch.inference_mode()
    def evaluate(self, batch: KeptBatch, edit: State) -> Tensor:
        """Return the outputs ``(N, classes)`` of one edit on a batch, float32."""
        outputs = super().evaluate(batch, edit)
        if outputs is batch.outputs:
            return outputs
        outputs = outputs.float()
        gap, margin = self._gaps(outputs, outputs), batch.margin
        done = torch.zeros_like(gap, dtype=torch.bool)
        # An output that is not finite has no gap; the exact run tells whether the model has it.
        while (close := torch.nonzero(~(gap > margin) & ~done).flatten()).numel():
            exact = self._exact.outputs(batch.inputs[close], edit)
            margin = max(margin, self._error_of_gaps(outputs[close], exact))
            outputs[close] = exact
            done[close] = True
        return outputs

    def _error_of_gaps(self, reduced: Tensor, exact: Tensor) -> float:
        """Return the largest error of a reduced gap; what is not finite says nothing of others."""
        reduced, exact = reduced.float(), exact.float()
        errors = (self._gaps(reduced, reduced) - self._gaps(exact, reduced)).abs()
        finite = errors[torch.isfinite(errors)]
        return float(finite.max()) if finite.numel() else 0.0
