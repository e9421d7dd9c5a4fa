"""Edits in a reduced precision, with the close answers done again in strict float32.

bfloat16 and float16 halve the memory of every value and, on processors with instructions for them,
about double the speed of convolutions; TF32 shortens what float32 is multiplied with. Their
rounding can swap two classes only where their logits are close. How close is measured, not assumed:
by how much the gap between the two largest logits differs between the precisions, at most, on the
batch's dense pass and on each edit's own recomputed samples. Samples with a smaller gap are run
again exactly, so that top-1 answers are those of the exact sweep but for rare outliers;
`python -m benchmarks.exact_sweep --precision bf16` counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from analysis.engine.compiling import Way
from analysis.engine.evaluator import Evaluator
from analysis.engine.kept import KeptBatch
from analysis.engine.weights import State
from pruners.batches import Inputs
from pruners.capture import Graph, device_of
from pruners.errors import UnsupportedError
from pruners.float32 import Float32

Gaps = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduced precision.

    Attributes:
        name: As it is asked for.
        dtype: Type of the values; None is the model's own.
        float32: How float32 is multiplied.
        tolerance: Relative to the largest logit: its rounding stays below, a wrong program does
            not.
        devices: Kinds of devices that have it; empty for all.
    """

    name: str
    dtype: torch.dtype | None
    float32: Float32
    tolerance: float
    devices: tuple[str, ...] = ()


BF16 = Reduction("bf16", torch.bfloat16, "ieee", 0.1)
FP16 = Reduction("fp16", torch.float16, "ieee", 0.02)
TF32 = Reduction("tf32", None, "tf32", 0.02, ("cuda",))
_REDUCTIONS = {item.name: item for item in (BF16, FP16, TF32)}


def reduction_named(name: str) -> Reduction:
    """Return one of the reduced precisions by its name."""
    return _REDUCTIONS[name]


def runs_in(evaluator: Evaluator, precision: str) -> bool:
    """Return whether an evaluator's model and device can be asked for a precision."""
    reduction = _REDUCTIONS.get(precision)
    if reduction is None:
        return True
    kind = device_of(evaluator.model).type
    return evaluator.is_incremental and kind in (reduction.devices or (kind,))


class ReducedEvaluator(Evaluator):
    """An evaluator that runs edits in a reduced precision, and close answers again in full.

    Args:
        exact: The evaluator of the same model in full precision.
        graph: The captured model.
        example: Inputs ``(2, ...)`` on which the program is checked.
        gaps: By how much each answer leads the next one, ``(N,)``: ``gaps(outputs, ranking)`` are
            those of ``outputs`` between the first two answers of ``ranking``; see
            `analysis.tasks`.
        reduction: The precision.

    Raises:
        UnsupportedError: The model or its device does not run in it; the message says why.
    """

    def __init__(
        self,
        exact: Evaluator,
        graph: Graph | None,
        example: Inputs,
        *,
        gaps: Gaps,
        reduction: Reduction = BF16,
    ) -> None:
        name, kind = reduction.name, device_of(exact.model).type
        if reduction.devices and kind not in reduction.devices:
            raise UnsupportedError(
                f"precision {name} needs a {' or '.join(reduction.devices)} device, this subject "
                f"is on {kind}; use precision float32"
            )
        if graph is None or exact.program is None:
            raise UnsupportedError(
                f"{name} needs the captured graph ({exact.fallback_reason}); use precision float32"
            )
        super().__init__(
            exact.model,
            graph,
            example=example,
            memory_limit=exact.memory_limit,
            dtype=reduction.dtype,
            float32_mode=reduction.float32,
            tolerance=reduction.tolerance,
        )
        if self.program is None:
            raise UnsupportedError(
                f"the model does not run in {name}: {self.fallback_reason}; use precision float32"
            )
        self._exact = exact
        self._gaps = gaps

    @torch.inference_mode()
    def dense(self, inputs: Inputs, *, edits: Iterable[Iterable[str]] | None = None) -> KeptBatch:
        """Run the model in both precisions; keep the values of both and the exact outputs."""
        edits = None if edits is None else list(edits)
        reduced = super().dense(inputs, edits=edits)
        exact = self._exact.dense(inputs, edits=edits)
        margin = self._errors_of_gaps(reduced.outputs, exact.outputs).max()
        return replace(reduced, outputs=exact.outputs, margin=margin, exact=exact)

    def _kept_bytes(self, names: Iterable[str] | None) -> int:
        names = None if names is None else list(names)
        return super()._kept_bytes(names) + self._exact._kept_bytes(names)

    def ways(self) -> list[Way | None]:
        """Return how the programs are compiled: its own, then those in full precision."""
        return [*super().ways(), *self._exact.ways()]

    def follow(self, ways: Sequence[Way | None]) -> None:
        """Compile as an evaluator of the same model did; see `Evaluator.follow`."""
        super().follow(ways)
        self._exact.follow(ways[1:])

    @property
    def is_final(self) -> bool:
        """Whether provisional outputs are final."""
        return False

    @torch.inference_mode()
    def settled(
        self, batch: KeptBatch, edits: Sequence[State], outputs: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return the outputs of some edits ``(N, classes)`` in float32, the close ones exact.

        Waits for the device once a round, whatever the number of edits; see
        `Evaluator.settled`.
        """
        found = list(outputs)
        changed = [at for at, item in enumerate(found) if item is not batch.outputs]
        if changed:
            settled = self._settled(
                batch, [edits[at] for at in changed], [found[at] for at in changed]
            )
            for at, item in zip(changed, settled.unbind(), strict=True):
                found[at] = item
        return found

    def _settled(
        self, batch: KeptBatch, edits: Sequence[State], outputs: Sequence[Tensor]
    ) -> Tensor:
        """Return the outputs ``(edits, N, classes)`` of edits that change something."""
        found = torch.stack(list(outputs)).float()
        gaps = self._gaps_of(found, found)
        margins = torch.zeros_like(gaps[:, 0]) + batch.margin
        done = torch.zeros_like(gaps, dtype=torch.bool)
        # An output that is not finite has no gap; the exact run tells whether the model has it.
        while sum(counts := (close := ~(gaps > margins[:, None]) & ~done).sum(1).tolist()):
            rows, samples = torch.nonzero_static(close, size=sum(counts)).t().contiguous()
            exact = torch.cat(
                [
                    self._in_full(batch, chosen, edit)
                    for edit, chosen in zip(edits, torch.split(samples, counts), strict=True)
                    if len(chosen)
                ]
            )
            errors = self._errors_of_gaps(found[rows, samples], exact)
            margins = margins.scatter_reduce(0, rows, errors, "amax")
            found[rows, samples] = exact
            done |= close
        return found

    def _in_full(self, batch: KeptBatch, samples: Tensor, edit: State) -> Tensor:
        if batch.exact is None:
            return self._exact.outputs(batch.inputs[samples], edit)
        return self._exact.chosen(batch.exact, samples, edit)

    def _gaps_of(self, outputs: Tensor, ranking: Tensor) -> Tensor:
        """Return gaps ``(edits, N)`` of outputs ``(edits, N, ...)``."""
        flat = self._gaps(outputs.flatten(0, 1), ranking.flatten(0, 1))
        return flat.reshape(outputs.shape[:2])

    def _errors_of_gaps(self, reduced: Tensor, exact: Tensor) -> Tensor:
        """Return the errors ``(N,)`` of reduced gaps; what is not finite says nothing of others."""
        reduced, exact = reduced.float(), exact.float()
        errors = (self._gaps(reduced, reduced) - self._gaps(exact, reduced)).abs()
        return torch.where(errors.isfinite(), errors, 0.0)
