"""Measure edits: the one loop behind sweeps, live evaluation, plan evaluation and recovery.

For each slice of the evaluation set the dense model runs once, then every edit. What is counted is
the task's business; the device is asked once a part, not once an edit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from analysis.edits import PreparedSubject
from analysis.measuring.runner import EditRunner, Runnable
from analysis.measuring.slices import Slice
from analysis.records import Sums
from analysis.subjects.data import first_not_finite
from analysis.tasks import Task, is_finite
from pruners.errors import InputError, one_line

Key = TypeVar("Key", bound=Hashable)
Cancel = Callable[[], bool]
NOT_FINITE = "the pruned model's logits are not finite"


@dataclass(slots=True)
class Measured(Generic[Key]):
    """What one slice showed.

    Attributes:
        baseline: Sums of the dense model.
        sums: Sums by edit.
        failed: Reasons by edit; a failed edit has no sums.
        setup_seconds: Wall time that later slices will not take again.
    """

    baseline: Sums = field(default_factory=Sums)
    sums: dict[Key, Sums] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)
    setup_seconds: float = 0.0

    def require(self, key: Key) -> Sums:
        """Return the sums of an edit.

        Raises:
            InputError: It failed.
        """
        if key in self.failed:
            raise InputError(self.failed[key])
        return self.sums[key]


# Outputs of the dense model, of each edit, and the targets of a part of a slice.
Observer = Callable[[Tensor, Mapping[Key, Tensor], Tensor | None], None]


def measure(
    prepared: PreparedSubject,
    edits: Mapping[Key, Runnable | Callable[[], Runnable]],
    slices: Iterable[Slice],
    task: Task,
    *,
    runner: EditRunner | None = None,
    cancel: Cancel = lambda: False,
    observe: Observer[Key] | None = None,
) -> Iterator[Measured[Key]]:
    """Yield what each slice showed of each edit.

    An edit that raises, or whose outputs are not finite, is left out with its reason, and the rest
    goes on. When ``cancel`` turns true, the slice in flight is dropped and the generator ends.

    Args:
        prepared: The subject.
        edits: What to measure, by a key of the caller: an edit, a model that stands for one, or a
            function that makes one when it is its turn.
        slices: Parts of the evaluation set.
        task: What is counted.
        runner: Runs the edits, and keeps what later slices or calls use again.
        cancel: Asked before each edit.
        observe: Called after each part with all its outputs, for what sums do not tell.

    Raises:
        InputError: The dense model's outputs of a sample are not finite.
    """
    runner = EditRunner(prepared) if runner is None else runner
    for whole in slices:
        measured: Measured[Key] = Measured()
        setup = runner.setup_seconds
        for part in whole.parts(runner.max_samples):
            loop = _Part(prepared, part, task, runner, measured)
            if not loop.run(edits, cancel, observe):
                return
        for key in measured.failed:
            measured.sums.pop(key, None)
        measured.setup_seconds = runner.setup_seconds - setup
        yield measured


class _Part(Generic[Key]):
    """Measures all edits on as many samples as fit the memory limit."""

    def __init__(
        self,
        prepared: PreparedSubject,
        part: Slice,
        task: Task,
        runner: EditRunner,
        measured: Measured[Key],
    ) -> None:
        self._task, self._runner, self._measured = task, runner, measured
        self._targets = part.targets
        start = time.perf_counter()
        self._opened = runner.open(part)
        self._dense = self._opened.dense
        self._check_dense(prepared)
        row = task.vector(self._dense, self._dense, part.targets).tolist()
        measured.baseline += task.sums(row, seconds=time.perf_counter() - start)

    def _check_dense(self, prepared: PreparedSubject) -> None:
        """Check that the dense model answers: else every comparison with it is empty.

        Raises:
            InputError: It does not answer a sample with finite outputs.
        """
        at, split = first_not_finite(self._dense), prepared.subject.evaluation
        if at is not None and split is not None:
            raise InputError(
                f"the dense model's outputs of {split.named(self._opened.first + at)} of "
                f"{split.source.name!r} are not finite; look for NaN, infinite or huge numbers "
                "in it"
            )

    @torch.inference_mode()
    def run(
        self,
        edits: Mapping[Key, Runnable | Callable[[], Runnable]],
        cancel: Cancel,
        observe: Observer[Key] | None,
    ) -> bool:
        vectors: dict[Key, Tensor] = {}
        seconds: dict[Key, float] = {}
        seen: dict[Key, Tensor] = {}
        for key, edit in edits.items():
            if cancel():
                return False
            if key in self._measured.failed:
                continue
            start = time.perf_counter()
            try:
                outputs = self._runner.outputs(self._opened, edit)
                vectors[key] = self._task.vector(self._dense, outputs, self._targets)
            except (RuntimeError, ValueError, TypeError) as error:
                self._measured.failed[key] = one_line(error)
            else:
                if observe is not None:
                    seen[key] = outputs
            seconds[key] = time.perf_counter() - start
        self._add(vectors, seconds)
        if observe is not None:
            observe(self._dense, seen, self._targets)
        return True

    def _add(self, vectors: Mapping[Key, Tensor], seconds: Mapping[Key, float]) -> None:
        rows = torch.stack(list(vectors.values())).tolist() if vectors else []
        for key, row in zip(vectors, rows, strict=True):
            if not is_finite(row):
                self._measured.failed[key] = NOT_FINITE
                continue
            sums = self._task.sums(row, seconds=seconds[key])
            self._measured.sums[key] = self._measured.sums.get(key, Sums()) + sums
