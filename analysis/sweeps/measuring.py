"""Measure points on one batch: the dense model once, then each point as an edit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from analysis.edits import Edit, EditRunner, PointRepairer, PreparedSubject
from analysis.engine import DenseBatch
from analysis.records import Sums, SweepSpec
from analysis.sweeps.grid import Item
from analysis.tasks import batch_vector, is_finite, to_sums

Cancel = Callable[[], bool]
NOT_FINITE = "the pruned model's logits are not finite"


@dataclass(slots=True)
class Measured:
    """What one batch showed.

    Attributes:
        baseline: Sums of the dense model.
        sums: Sums by item.
        failed: Reasons by item; a failed item has no sums.
        setup_seconds: Wall time that later batches will not take again.
    """

    baseline: Sums = field(default_factory=Sums)
    sums: dict[Item, Sums] = field(default_factory=dict)
    failed: dict[Item, str] = field(default_factory=dict)
    setup_seconds: float = 0.0


class PointMeasurer:
    """Measures the items of a sweep.

    Args:
        prepared: The subject.
        spec: The sweep.
        items: All items that may be measured.
        keep_bytes: Memory for dense values of batches that come back.
    """

    def __init__(
        self,
        prepared: PreparedSubject,
        spec: SweepSpec,
        items: Sequence[Item],
        *,
        keep_bytes: int = 0,
    ) -> None:
        self._keep_bytes = keep_bytes
        self._kept: dict[int, DenseBatch] = {}
        self._prepared = prepared
        self._spec = spec
        self._evaluator = prepared.evaluator_at(spec.precision)
        self._runner = EditRunner(prepared, self._evaluator)
        self._repairer = PointRepairer(prepared, method=spec.repair, semantics=spec.semantics)
        self._names = {
            item: item.names | self._repairer.names(item.target, item.masks.mask(item.kept))
            for item in items
        }
        self._max_samples = self._evaluator.max_samples(
            {name for names in self._names.values() for name in names}
        )

    def measure(
        self,
        inputs: Tensor,
        labels: Tensor | None,
        items: Sequence[Item],
        *,
        cancel: Cancel,
        start: int | None = None,
    ) -> Measured | None:
        """Measure items on a batch, in parts that fit the memory limit; None if cancelled.

        Args:
            inputs: The batch.
            labels: Its labels.
            items: What to measure.
            cancel: Asked before each item.
            start: Number of the batch's first sample, if the batch may come back.
        """
        measured, setup = Measured(), self._runner.setup_seconds
        step = self._max_samples or len(inputs)
        for first in range(0, len(inputs), step):
            part = inputs[first : first + step]
            truth = None if labels is None else labels[first : first + step]
            clock = time.perf_counter()
            dense = self._dense(part, items, None if start is None else start + first)
            sums = to_sums(batch_vector(dense, dense, truth))
            measured.baseline += sums + Sums(seconds=time.perf_counter() - clock)
            if not self._measure_part(part, truth, dense, items, measured, cancel):
                return None
        for item in measured.failed:
            measured.sums.pop(item, None)
        measured.setup_seconds = self._runner.setup_seconds - setup
        return measured

    def release(self) -> None:
        """Forget the batch at hand."""
        self._evaluator.release()

    def _dense(self, inputs: Tensor, items: Sequence[Item], start: int | None) -> Tensor:
        """Make a batch the evaluator's current one; return its dense logits."""
        evaluator = self._evaluator
        if start is None or not self._keep_bytes:
            return evaluator.dense(inputs, edits={self._names[item] for item in items})
        if start in self._kept:
            return evaluator.restore(self._kept[start])
        # For all items: others will come to this batch later.
        logits = evaluator.dense(inputs, edits=set(self._names.values()))
        batch = evaluator.current()
        used = sum(kept.nbytes for kept in self._kept.values())
        if used + batch.nbytes <= self._keep_bytes:
            self._kept[start] = batch
        return logits

    @torch.inference_mode()
    def _measure_part(
        self,
        inputs: Tensor,
        labels: Tensor | None,
        dense: Tensor,
        items: Sequence[Item],
        measured: Measured,
        cancel: Cancel,
    ) -> bool:
        vectors: dict[Item, Tensor] = {}
        seconds: dict[Item, float] = {}
        for item in items:
            if cancel():
                return False
            if item in measured.failed:
                continue
            start = time.perf_counter()
            try:
                logits = self._runner.logits(self._edit(item), inputs)
                vectors[item] = batch_vector(dense, logits, labels)
            except (RuntimeError, ValueError, TypeError) as error:
                measured.failed[item] = _one_line(error)
            seconds[item] = time.perf_counter() - start
        # The device is asked once a part, not once a point.
        rows = torch.stack(list(vectors.values())).tolist() if vectors else []
        for item, row in zip(vectors, rows, strict=True):
            if not is_finite(row):
                measured.failed[item] = NOT_FINITE
                continue
            sums = to_sums(row, seconds=seconds[item])
            measured.sums[item] = measured.sums.get(item, Sums()) + sums
        return True

    def _edit(self, item: Item) -> Edit:
        edit = item.edit(self._prepared, semantics=self._spec.semantics)
        if self._spec.repair == "none":
            return edit
        mask = item.masks.mask(item.kept)
        return self._repairer.repaired(item.target, mask, edit, key=item)


def _one_line(error: Exception) -> str:
    first = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
    return f"{type(error).__name__}: {first}"
