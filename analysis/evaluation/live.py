"""Live evaluation of a plan: a first estimate at once, the whole evaluation set soon after.

The values of the last plan stay in memory for as many batches as fit. A new plan that changes one
layer recomputes only what lies downstream of that layer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.edits import Edit, PreparedSubject, removed_model
from analysis.engine import Values
from analysis.plans import plan_edit
from analysis.records import Plan, Sums
from analysis.tasks import batch_vector, is_finite, to_sums
from analysis.uncertainty import Interval, paired_drop
from pruners.errors import InputError

LIVE_BATCH = 100
CACHE_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class LiveResult:
    """A plan measured on the first samples of the evaluation set.

    Attributes:
        samples: Samples behind the numbers.
        total: Samples of the evaluation set.
        sums: Counts of the pruned model.
        baseline: Counts of the dense model on the same samples.
        accuracy: Of the pruned model (without labels: agreement with dense).
        drop: Accuracy lost against dense, a fraction.
        interval: Of the drop, paired.
        seconds: Wall time since the call.
    """

    samples: int
    total: int
    sums: Sums
    baseline: Sums
    accuracy: float
    drop: float
    interval: Interval
    seconds: float

    @property
    def is_final(self) -> bool:
        """Whether the whole evaluation set was measured."""
        return self.samples == self.total


@dataclass(slots=True, eq=False)
class _Batch:
    """One batch with what is known of it.

    Attributes:
        inputs: On the model's device.
        labels: Or None.
        dense: Dense logits, once computed.
        values: Values of the program under ``edit``; empty if they did not fit.
        edit: The edit behind ``values``.
    """

    inputs: Tensor
    labels: Tensor | None
    dense: Tensor | None = None
    values: Values | None = None
    edit: Mapping[str, Tensor] | None = None


class LiveEvaluator:
    """Evaluates one plan after another on the evaluation set.

    Calls from several threads take turns batch by batch; an abandoned generator costs nothing
    more, and starting the next evaluation before the last has ended is fine.

    Args:
        prepared: The subject.
        batch_size: Samples a step, at most; the first estimate comes after one step.
        cache_bytes: Memory for the values of the last plan.
        confidence: Of the interval.
    """

    def __init__(
        self,
        prepared: PreparedSubject,
        *,
        batch_size: int = LIVE_BATCH,
        cache_bytes: int = CACHE_BYTES,
        confidence: float = 0.95,
    ) -> None:
        split = prepared.subject.evaluation
        if split is None:
            raise InputError("live evaluation needs evaluation data; give a data address")
        self._prepared = prepared
        self._confidence = confidence
        self._cache_bytes = cache_bytes
        self._cached_bytes = 0
        self._lock = threading.Lock()
        limits = (batch_size, prepared.evaluator.max_samples(), prepared.evaluator.tile_samples)
        size = min(limit for limit in limits if limit is not None)
        self._total = len(split)
        self._source = split.batches(size)
        self._batches: list[_Batch] = []
        self._turn = 0

    def evaluate(self, plan: Plan) -> Iterator[LiveResult]:
        """Yield the plan's result after each batch, the last one for the whole set.

        When a later call has begun, an earlier generator ends at its next step: its result is of
        no use any more.

        Raises:
            PlanError: The plan does not fit the model.
            InputError: The pruned model's logits are not finite.
        """
        return self.evaluate_edit(plan_edit(self._prepared, plan))

    def evaluate_edit(self, edit: Edit) -> Iterator[LiveResult]:
        """Yield the result of an edit after each batch; see `evaluate`."""
        with self._lock:
            self._turn += 1
            turn = self._turn
        return self._results(edit, turn)

    def _results(self, edit: Edit, turn: int) -> Iterator[LiveResult]:
        start = time.perf_counter()
        model = removed_model(self._prepared, edit) if edit.kept else None
        sums, baseline, position = Sums(), Sums(), 0
        while sums.samples < self._total:
            with self._lock:
                if self._turn != turn:
                    return
                batch = self._batch(position)
                logits = self._logits(batch, edit) if model is None else self._run(model, batch)
                assert batch.dense is not None
                sums += _counted(batch.dense, logits, batch.labels)
                baseline += _counted(batch.dense, batch.dense, batch.labels)
            position += 1
            yield self._result(sums, baseline, time.perf_counter() - start)

    def _result(self, sums: Sums, baseline: Sums, seconds: float) -> LiveResult:
        n = sums.samples
        drop, interval = paired_drop(sums.lost, sums.gained, n, self._confidence)
        return LiveResult(
            samples=n,
            total=self._total,
            sums=sums,
            baseline=baseline,
            accuracy=sums.correct / n,
            drop=drop,
            interval=interval,
            seconds=seconds,
        )

    # --- values that are kept ----------------------------------------------------------------

    def _batch(self, position: int) -> _Batch:
        """Return a batch with its dense logits; the data is read once."""
        while len(self._batches) <= position:
            inputs, labels = next(self._source)
            self._batches.append(_Batch(inputs, labels))
        batch = self._batches[position]
        if batch.dense is None:
            batch.dense = self._fresh(batch, {})
        return batch

    @torch.inference_mode()
    def _run(self, model: torch.nn.Module, batch: _Batch) -> Tensor:
        logits: Tensor = model(batch.inputs)
        return logits

    @torch.inference_mode()
    def _logits(self, batch: _Batch, edit: Edit) -> Tensor:
        program = self._prepared.evaluator.program
        if program is None:
            return self._prepared.evaluator.forward(batch.inputs, edit.tensors)
        tensors = self._prepared.evaluator.spread(edit.tensors)
        if batch.values is None or batch.edit is None:
            return self._fresh(batch, tensors)
        changed = _changed(batch.edit, tensors)
        if changed:
            part = program.part(changed)
            batch.values.update(program.run(part, batch.values, program.edited(tensors)))
            batch.edit = tensors
        logits: Tensor = batch.values[program.output]
        return logits

    @torch.inference_mode()
    def _fresh(self, batch: _Batch, tensors: Mapping[str, Tensor]) -> Tensor:
        """Run the whole program, and keep its values if they fit."""
        program = self._prepared.evaluator.program
        if program is None:
            return self._prepared.evaluator.forward(batch.inputs, tensors)
        size = self._prepared.evaluator.values_bytes(len(batch.inputs))
        keep = size is not None and self._cached_bytes + size <= self._cache_bytes
        known = program.prepare(batch.inputs)
        weights = program.edited(tensors)
        values = program.run(program.whole(), known, weights, keep=None if keep else frozenset())
        if keep and batch.values is None:
            assert size is not None
            self._cached_bytes += size
            batch.values, batch.edit = {**known, **values}, tensors
        logits: Tensor = values[program.output]
        return logits


def _changed(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> frozenset[str]:
    """Return the names whose tensors differ between two edits."""
    return frozenset(
        name
        for name in old.keys() | new.keys()
        if name not in old or name not in new or not torch.equal(old[name], new[name])
    )


def _counted(dense: Tensor, logits: Tensor, labels: Tensor | None) -> Sums:
    row = batch_vector(dense, logits, labels).tolist()
    if not is_finite(row):
        raise InputError("the pruned model's logits are not finite")
    return to_sums(row)
