"""Measure edits: the one loop behind sweeps, live evaluation, plan evaluation and recovery.

For each slice of the evaluation set the dense model runs once, then every edit. What is counted is
the task's business; the device is asked once a slice, not once an edit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from analysis.edits import PreparedSubject
from analysis.engine import Span
from analysis.measuring.probe import PartProbe, joined
from analysis.measuring.runner import Answer, EditRunner, Runnable
from analysis.measuring.slices import Slice
from analysis.memory import is_out_of_memory
from analysis.records import ProbePart, Sums
from analysis.subjects.data import Split, first_not_finite
from analysis.tasks import Task, is_finite
from pruners.errors import InputError, one_line
from pruners.float32 import float32

Key = TypeVar("Key", bound=Hashable)
Cancel = Callable[[], bool]
# Provisional outputs that wait to be settled together.
OPEN_BYTES = 2**28
NOT_FINITE = "the pruned model's outputs are not finite"


@dataclass(slots=True)
class Measured(Generic[Key]):
    """What one slice showed.

    Attributes:
        baseline: Sums of the dense model.
        sums: Sums by edit.
        failed: Reasons by edit; a failed edit has no sums.
        setup_seconds: Wall time that later slices will not take again.
        probe: Outputs of those of its samples that belong to the probe; None without any.
    """

    baseline: Sums = field(default_factory=Sums)
    sums: dict[Key, Sums] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)
    setup_seconds: float = 0.0
    probe: ProbePart[Key] | None = None

    def require(self, key: Key) -> Sums:
        """Return the sums of an edit.

        Raises:
            InputError: It failed.
        """
        if key in self.failed:
            raise InputError(self.failed[key])
        return self.sums[key]


# Outputs of the dense model and of each edit, and a part of a slice.
Observer = Callable[[Tensor, Mapping[Key, Tensor], Slice], None]


def measure(
    prepared: PreparedSubject,
    edits: Mapping[Key, Runnable | Callable[[], Runnable]],
    slices: Iterable[Slice],
    task: Task,
    *,
    runner: EditRunner | None = None,
    cancel: Cancel = lambda: False,
    observe: Observer[Key] | None = None,
    ahead: Callable[[], None] | None = None,
    probe: int = 0,
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
        ahead: Called when a slice is under way and before anybody waits for it: what else is to
            be done meanwhile, such as reading the next slice.
        probe: The first so many samples are those whose outputs are kept.

    Raises:
        InputError: The dense model's outputs of a sample are not finite.
    """
    runner = EditRunner(prepared) if runner is None else runner
    for whole in slices:
        setup = runner.setup_seconds
        work = _SliceWork(edits, task, runner, cancel, observe, prepared.subject.evaluation)
        work.probe = probe
        if not work.run(whole):
            return
        if ahead is not None:
            # A device is still at work on what it was given.
            ahead()
        measured = work.measured()
        measured.setup_seconds = runner.setup_seconds - setup
        yield measured


@dataclass(slots=True)
class _Row:
    """What one model showed of a slice so far; on its device, which nobody waits for.

    Attributes:
        total: Sum of the task's vectors.
        spans: Time of each part, with the share of it that is this model's.
    """

    total: Tensor
    spans: list[tuple[Span, float]]

    def __add__(self, other: _Row) -> _Row:
        return _Row(self.total + other.total, [*self.spans, *other.spans])

    @property
    def seconds(self) -> float:
        return sum(share * span.seconds for span, share in self.spans)


class _SliceWork(Generic[Key]):
    """Measures all edits on one slice, in parts that fit the memory."""

    def __init__(
        self,
        edits: Mapping[Key, Runnable | Callable[[], Runnable]],
        task: Task,
        runner: EditRunner,
        cancel: Cancel,
        observe: Observer[Key] | None,
        split: Split | None = None,
    ) -> None:
        self._split = split
        self._edits, self._task, self._runner = edits, task, runner
        self._cancel, self._observe = cancel, observe
        self._dense: _Row | None = None
        self._rows: dict[Key, _Row] = {}
        self._failed: dict[Key, str] = {}
        self._probed: list[PartProbe[Key]] = []
        self.probe = 0

    def run(self, whole: Slice) -> bool:
        """Run a slice; False if cancelled.

        A part that does not fit the memory is cut in halves, and so are all that come later.
        """
        self._whole = whole
        parts = deque(whole.parts(self._runner.max_samples))
        while parts:
            part = parts.popleft()
            try:
                with torch.inference_mode(), float32():
                    found = self._run_part(part)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(part) == 1:
                    raise
                half = -(-len(part) // 2)
            else:
                if found is None:
                    return False
                if self._observe is not None:
                    self._observe(*found, part)
                continue
            # Outside of the handler: the error would keep what it was raised amid in memory.
            self._runner.shrink(half)
            parts.extendleft(reversed(list(part.parts(half))))
        return True

    def _run_part(self, part: Slice) -> tuple[Tensor, Mapping[Key, Tensor]] | None:
        """Return the dense outputs and, for who observes, those of the edits; None if cancelled."""
        work: _PartWork[Key] = _PartWork(
            part, self._task, self._runner, keep=self._observe is not None, probe=self.probe
        )
        for key, edit in self._edits.items():
            if self._cancel():
                return None
            if key not in self._failed:
                work.add(key, edit)
        work.settle()
        self._dense = work.dense if self._dense is None else self._dense + work.dense
        for key, row in work.rows.items():
            self._rows[key] = self._rows[key] + row if key in self._rows else row
        self._failed |= work.failed
        self._probed.append(work.probed)
        return work.opened.dense, work.seen

    def measured(self) -> Measured[Key]:
        """Return what the slice showed; waits for the device, once."""
        assert self._dense is not None
        found: Measured[Key] = Measured(failed=dict(self._failed))
        rows = {key: row for key, row in self._rows.items() if key not in self._failed}
        stacked = torch.stack([self._dense.total, *(row.total for row in rows.values())])
        first, *values = stacked.tolist()
        if not is_finite(first):
            self._check_dense()
        found.baseline = self._task.sums(first, seconds=self._dense.seconds)
        for (key, row), value in zip(rows.items(), values, strict=True):
            if is_finite(value):
                found.sums[key] = self._task.sums(value, seconds=row.seconds)
            else:
                found.failed[key] = NOT_FINITE
        found.probe = joined(self._probed, found.sums)
        return found

    def _check_dense(self) -> None:
        """Name the sample that the dense model has no score on: a comparison with it is empty.

        Raises:
            InputError: There is one.
        """
        for part in self._whole.parts(self._runner.max_samples):
            opened, split = self._runner.open(part), self._split
            at = first_not_finite(opened.dense)
            if at is not None and split is not None:
                raise InputError(
                    f"the dense model's outputs of {split.named(opened.first + at)} of "
                    f"{split.source.name!r} are not finite; look for NaN, infinite or huge "
                    "numbers in it"
                )
            scores = self._task.scores(opened.dense, opened.dense, part.targets)
            at = first_not_finite(scores)
            if at is not None and split is not None:
                raise InputError(
                    f"the error of the dense model on {split.named(opened.first + at)} of "
                    f"{split.source.name!r} is too large for a number: its target is huge; scale "
                    "the targets"
                )


class _PartWork(Generic[Key]):
    """What the edits show on a part of a slice.

    Args:
        part: The part.
        task: What is counted.
        runner: Runs the edits.
        keep: Whether to keep all outputs.
        probe: The first so many samples of the evaluation set are its probe.
    """

    def __init__(
        self, part: Slice, task: Task, runner: EditRunner, *, keep: bool, probe: int = 0
    ) -> None:
        self._task, self._runner, self._keep = task, runner, keep
        self._part, self._device = part, part.inputs.device
        span = Span(self._device)
        with span.measured():
            self.opened = runner.open(part)
            total = task.vector(self.opened.dense, self.opened.dense, part.targets, part.groups)
        self.dense = _Row(total, [(span, 1.0)])
        self.probed: PartProbe[Key] = PartProbe(part, self.opened.dense, task, samples=probe)
        self.rows: dict[Key, _Row] = {}
        self.seen: dict[Key, Tensor] = {}
        self.failed: dict[Key, str] = {}
        self._open: dict[Key, tuple[Answer, Span]] = {}

    def add(self, key: Key, edit: Runnable | Callable[[], Runnable]) -> None:
        """Run an edit; its numbers may wait for others, to be found out together."""
        span = Span(self._device)
        with self._noting(key), span.measured():
            answer = self._runner.answer(self.opened, edit)
            if answer.is_final and self._device.type == "cpu":
                self._count({key: answer.outputs})
        if key in self.failed:
            return
        if key in self.rows:
            self.rows[key].spans.append((span, 1.0))
            return
        self._open[key] = (answer, span)
        if sum(item.nbytes for item, _ in self._open.values()) > OPEN_BYTES:
            self.settle()

    def settle(self) -> None:
        """Make provisional outputs final; where one of them raises, one after another."""
        if not self._open:
            return
        waiting, self._open = self._open, {}
        try:
            self._settle(waiting)
        except (RuntimeError, ValueError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            for key, item in waiting.items():
                with self._noting(key):
                    self._settle({key: item})

    def _settle(self, waiting: Mapping[Key, tuple[Answer, Span]]) -> None:
        shared = Span(self._device)
        with shared.measured():
            outputs = {key: answer.outputs for key, (answer, _) in waiting.items()}
            rough = {key: answer for key, (answer, _) in waiting.items() if not answer.is_final}
            settled = self._runner.settled(self.opened, list(rough.values()))
            self._count({**outputs, **dict(zip(rough, settled, strict=True))})
        for key, (_, span) in waiting.items():
            self.rows[key].spans += [(span, 1.0), (shared, 1 / len(waiting))]

    @contextmanager
    def _noting(self, key: Key) -> Iterator[None]:
        """Note the reason of an edit that fails; lack of memory is everybody's."""
        try:
            yield
        except (RuntimeError, ValueError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            self.failed[key] = one_line(error)

    def _count(self, outputs: Mapping[Key, Tensor]) -> None:
        vectors = self._vectors(list(outputs.values()))
        for (key, item), vector in zip(outputs.items(), vectors, strict=True):
            self.rows[key] = _Row(vector, [])
            self.probed.add(key, item)
            if self._keep:
                self.seen[key] = item

    def _vectors(self, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return what is summed over the part, by model; at once where that saves launches."""
        vector = partial(self._task.vector, self.opened.dense)
        targets, groups = self._part.targets, self._part.groups
        if len(outputs) > 1:
            # A task that looks at values, or knows operators that torch cannot batch, refuses.
            with suppress(RuntimeError):
                together = torch.vmap(lambda item: vector(item, targets, groups))
                return list(together(torch.stack(list(outputs))).unbind())
        return [vector(item, targets, groups) for item in outputs]
