"""Live evaluation of a plan: a first estimate at once, the whole evaluation set soon after.

The values of the last plan stay in memory for as many batches as fit. A new plan that changes one
layer recomputes only what lies downstream of that layer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from torch import Tensor

from analysis.edits import Edit, PreparedSubject, edited_model
from analysis.engine import KeptBatch
from analysis.measuring import (
    MOST_SAMPLES,
    Answer,
    EditRunner,
    OpenSlice,
    Slice,
    Slices,
    change_in,
    measure,
)
from analysis.plans import masked_edit
from analysis.records import Change, Plan, ProbePart, Sums
from analysis.subjects.data import Split
from analysis.uncertainty import Interval
from pruners.errors import InputError

LIVE_BATCH = 100
CACHE_BYTES = 2**30
EDIT = "edit"


@dataclass(frozen=True, slots=True)
class LiveResult:
    """A plan measured on the first samples of the evaluation set.

    Attributes:
        samples: Samples behind the numbers.
        total: Samples of the evaluation set.
        sums: Counts of the pruned model.
        baseline: Counts of the dense model on the same samples.
        accuracy: Score of the pruned model (without labels: agreement with dense).
        drop: Score lost against dense.
        interval: Of the drop, paired.
        seconds: Wall time since the call.
        change: What the plan changes of the outputs of the probe, which are the first samples; None
            before the whole set was measured, and for tasks that keep none.
    """

    samples: int
    total: int
    sums: Sums
    baseline: Sums
    accuracy: float
    drop: float
    interval: Interval
    seconds: float
    change: Change | None = field(default=None, compare=False, repr=False)

    @property
    def is_final(self) -> bool:
        """Whether the whole evaluation set was measured."""
        return self.samples == self.total


class LiveEvaluator:
    """Evaluates one plan after another on the evaluation set.

    Evaluations may run side by side, also from several threads, each batch at its own time; an
    abandoned generator costs nothing more.

    Args:
        prepared: The subject.
        batch_size: Samples behind the first estimate, at most. A CPU takes steps of that size;
            other devices do the rest in large ones.
        cache_bytes: Memory for the values of the last plan; by default 1 GiB of a processor's, or
            what the subject may take of another device's.
        confidence: Of the interval.
        probe: So many first samples are those whose outputs are kept, to predict other plans.
    """

    def __init__(
        self,
        prepared: PreparedSubject,
        *,
        batch_size: int = LIVE_BATCH,
        cache_bytes: int | None = None,
        confidence: float = 0.95,
        probe: int = MOST_SAMPLES,
    ) -> None:
        split = prepared.subject.evaluation
        if split is None:
            raise InputError("live evaluation needs evaluation data; give a data address")
        self._prepared = prepared
        self._confidence, self._probe = confidence, probe
        self._lock = threading.Lock()
        self._slices = _live_slices(prepared, split, batch_size)
        if cache_bytes is None:
            is_cpu = prepared.subject.example.device.type == "cpu"
            cache_bytes = CACHE_BYTES if is_cpu else prepared.evaluator.memory_limit or CACHE_BYTES
        self._runner = _FollowingRunner(prepared, cache_bytes=cache_bytes)
        self._read: list[Slice] = []

    def evaluate(self, plan: Plan) -> Iterator[LiveResult]:
        """Yield the plan's result after each batch, the last one for the whole set.

        Raises:
            PlanError: The plan does not fit the model.
            InputError: The pruned model's outputs are not finite.
        """
        # As repairs and Evaluate build it: edits that are built are found again by all of them.
        return self.evaluate_edit(masked_edit(self._prepared, plan))

    def evaluate_edit(self, edit: Edit) -> Iterator[LiveResult]:
        """Yield the result of an edit after each batch; see `evaluate`."""
        start = time.perf_counter()
        task = self._prepared.subject.task
        what = edited_model(self._prepared, edit) if edit.kept else edit
        loop = measure(
            self._prepared,
            {EDIT: what},
            self._known(),
            task,
            runner=self._runner,
            probe=self._probe,
        )
        sums, baseline = Sums(), Sums()
        parts: list[ProbePart[str]] = []
        while sums.samples < self._slices.total:
            with self._lock:
                found = next(loop)
            sums += found.require(EDIT)
            baseline += found.baseline
            if found.probe is not None:
                parts.append(found.probe)
            seconds = time.perf_counter() - start
            result = self._result(sums, baseline, seconds, is_dense=edit.is_dense)
            yield replace(result, change=change_in(parts, EDIT)) if result.is_final else result

    def _known(self) -> Iterator[Slice]:
        """Yield the slices; the data is read once."""
        for number in range(len(self._slices)):
            if number == len(self._read):
                self._read.append(self._slices.read(number))
            yield self._read[number]

    def _result(self, sums: Sums, baseline: Sums, seconds: float, *, is_dense: bool) -> LiveResult:
        task = self._prepared.subject.task
        # The dense model against itself differs in nothing, for certain.
        same = Interval(0.0, 0.0, "exact", sums.samples)
        return LiveResult(
            samples=sums.samples,
            total=self._slices.total,
            sums=sums,
            baseline=baseline,
            accuracy=task.score(sums),
            drop=task.drop(sums),
            interval=same if is_dense else task.drop_interval(sums, self._confidence),
            seconds=seconds,
        )


def _live_slices(prepared: PreparedSubject, split: Split, first: int) -> Slices:
    most = prepared.subject.output_samples
    limits = (first, prepared.evaluator.max_samples(), prepared.evaluator.tile_samples, most)
    if prepared.subject.example.device.type == "cpu":
        return Slices(split, min(limit for limit in limits if limit is not None))
    return Slices(split, min(prepared.batch_size, limits[1] or first, most), looks=(first,))


class _FollowingRunner(EditRunner):
    """Keeps the values of the last edit, for as many slices as fit: the next one is close to it."""

    def __init__(self, prepared: PreparedSubject, *, cache_bytes: int) -> None:
        super().__init__(prepared)
        self._cache_bytes = cache_bytes
        self._used = 0
        self._dense: dict[int, Tensor] = {}
        self._last: dict[int, KeptBatch] = {}

    def open(self, part: Slice) -> OpenSlice:
        """Return a slice as the last edit left it; dense at first."""
        first = part.first
        if first not in self._dense:
            size = self.evaluator.values_bytes(len(part))
            keep = size is not None and self._used + size <= self._cache_bytes
            batch = self.evaluator.dense(part.inputs, edits=None if keep else ())
            self._dense[first] = batch.outputs
            if keep:
                assert size is not None
                self._used += size
                self._last[first] = batch
        dense = self._dense[first]
        return OpenSlice(first, dense, self._last.get(first, KeptBatch(part.inputs, dense)))

    def edited(self, opened: OpenSlice, edit: Edit) -> Answer:
        """Run an edit, from the values of the last one where they are kept."""
        if opened.first not in self._last:
            return Answer(self.evaluator.outputs(opened.batch.inputs, edit.tensors))
        moved = self.evaluator.moved(opened.batch, edit.tensors)
        self._last[opened.first] = moved
        return Answer(moved.outputs)
