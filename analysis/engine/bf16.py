"""Edits in bfloat16, with the close answers done again in the model's own precision.

bfloat16 halves the memory of every value and, on processors with instructions for it, about doubles
the speed of convolutions. Its rounding can swap two classes only where their logits are close. How
close is measured, not assumed: by how much the gap between the two largest logits differs between
the precisions, at most, on the batch's dense pass and on each edit's own recomputed samples.
Samples with a smaller gap are run again exactly, so that top-1 answers are those of the exact sweep
but for rare outliers; `python -m benchmarks.exact_sweep --precision bf16` counts them.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from analysis.engine.evaluator import DenseBatch, Evaluator
from analysis.engine.weights import State
from pruners.capture import Graph
from pruners.errors import UnknownNameError, UnsupportedError

PRECISIONS = ("float32", "bf16")
PRECISION_HELP = {
    "float32": "The model as it is.",
    "bf16": "Faster on processors with bfloat16; close answers are done again exactly.",
}
# Relative to the largest logit: rounding of bfloat16 stays below, a wrong program does not.
SELF_CHECK_TOLERANCE = 0.1


def check_precision(name: str) -> str:
    """Return the name of a precision.

    Raises:
        UnknownNameError: It is none.
    """
    if name not in PRECISIONS:
        raise UnknownNameError("precision", name, PRECISIONS)
    return name


class ReducedEvaluator(Evaluator):
    """An evaluator that runs edits in bfloat16, and close answers again in full precision.

    Args:
        exact: The evaluator of the same model in full precision.
        graph: The captured model.
        example: Inputs ``(2, ...)`` on which the program is checked.

    Raises:
        UnsupportedError: The model does not run in bfloat16; the message says why.
    """

    def __init__(self, exact: Evaluator, graph: Graph | None, example: Tensor) -> None:
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
        self._margin = 0.0

    @torch.inference_mode()
    def dense(self, inputs: Tensor, *, edits: Iterable[Iterable[str]] | None = None) -> Tensor:
        """Run the model in both precisions; keep the reduced values, return the exact logits."""
        reduced = super().dense(inputs, edits=edits)
        self._logits = self._exact.logits(inputs, {})
        self._margin = _error_of_gaps(reduced, self._logits)
        return self._logits

    @torch.inference_mode()
    def evaluate(self, edit: State) -> Tensor:
        """Return the logits ``(N, classes)`` of one edit on the current batch, float32."""
        logits = super().evaluate(edit)
        if logits is self._logits:
            return logits
        assert self._inputs is not None
        logits = logits.float()
        gap, margin = _gaps(logits, logits), self._margin
        done = torch.zeros_like(gap, dtype=torch.bool)
        # A logit that is not finite has no gap; the exact run tells whether the model has it.
        while (close := torch.nonzero(~(gap > margin) & ~done).flatten()).numel():
            exact = self._exact.logits(self._inputs[close], edit)
            margin = max(margin, _error_of_gaps(logits[close], exact))
            logits[close] = exact
            done[close] = True
        return logits

    def current(self) -> DenseBatch:
        """Return the current batch, to come back to it later."""
        batch = super().current()
        return DenseBatch(batch.inputs, batch.logits, batch.known, self._margin)

    def restore(self, batch: DenseBatch) -> Tensor:
        """Make a batch the current one again without running the model; return its logits."""
        self._margin = batch.margin
        return super().restore(batch)


def _gaps(logits: Tensor, ranking: Tensor) -> Tensor:
    """Return by how much the first class of a ranking leads the second ``(N,)``."""
    first = ranking.topk(min(2, ranking.shape[1]), dim=1).indices
    values = logits.gather(1, first)
    return values[:, 0] - values[:, -1]


def _error_of_gaps(reduced: Tensor, exact: Tensor) -> float:
    """Return the largest error of a reduced gap; what is not finite tells nothing of the others."""
    reduced, exact = reduced.float(), exact.float()
    errors = (_gaps(reduced, reduced) - _gaps(exact, reduced)).abs()
    finite = errors[torch.isfinite(errors)]
    return float(finite.max()) if finite.numel() else 0.0
