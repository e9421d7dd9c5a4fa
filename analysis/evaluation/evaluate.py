"""Dense, masked and physically removed, side by side on the same samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject
from analysis.evaluation.answers import AnswerTally
from analysis.measuring import (
    MOST_SAMPLES,
    EditRunner,
    Slice,
    Slices,
    change_in,
    compare_latency,
    file_bytes,
    measure,
)
from analysis.plans import kept_counts, masked_edit, meter, removed_model, require_fit
from analysis.records import (
    DENSE,
    MASKED,
    REMOVED,
    ClassChange,
    Evaluation,
    Latency,
    MeasuredModel,
    OnProgress,
    Plan,
    ProbePart,
    Progress,
    Sums,
    WholeScore,
)
from analysis.recovery import Recovery, recovered_model
from analysis.repairs import NO_REPAIR
from analysis.tasks import Task
from analysis.uncertainty import paired_drop
from pruners.batches import Inputs
from pruners.errors import InputError
from pruners.semantics import SEMANTICS


class _Tally:
    """Counts that grow slice by slice, and how far masked and removed are apart.

    Args:
        task: What is counted.
        names: Names of the classes.

    Attributes:
        by_class: Counts by class, as `Task.by_class`.
        same: Answers that masked and removed have in common.
        difference: Largest difference of their outputs, relative to the largest output.
        answers: Which answers change.
        probe: What the removed model changes of the first outputs, part by part.
    """

    def __init__(self, task: Task, names: Sequence[str]) -> None:
        self._task = task
        self.answers = AnswerTally(task, names)
        self.dense, self.masked, self.removed = Sums(), Sums(), Sums()
        self.by_class: Tensor | None = None
        self.same = 0
        self.difference = 0.0
        self.probe: list[ProbePart[str]] = []
        self._whole: tuple[list[tuple[Tensor, ...]], list[tuple[Tensor, ...]]] = ([], [])

    def whole(self, confidence: float) -> tuple[WholeScore, ...]:
        """Return scores that hang on all samples at once."""
        dense, pruned = (
            [torch.cat(rows) for rows in zip(*parts, strict=True)] for parts in self._whole
        )
        return self._task.whole(dense, pruned, confidence) if dense else ()

    def compare(self, dense: Tensor, outputs: Mapping[str, Tensor], part: Slice) -> None:
        """Add what sums do not tell of a part of a slice."""
        if REMOVED not in outputs:
            return
        removed = outputs[REMOVED]
        self.answers.add(dense, removed, part.targets)
        truth = self._task.own_targets(dense) if part.targets is None else part.targets
        for rows, item in zip(self._whole, (dense, removed), strict=True):
            rows.append(tuple(row.cpu() for row in self._task.whole_rows(item, truth)))
        counts = self._task.by_class(dense, removed, part.targets).cpu()
        self.by_class = counts if self.by_class is None else self.by_class + counts
        if MASKED in outputs:
            masked = outputs[MASKED]
            self.same += int(self._task.agree(masked, removed).sum())
            scale = max(float(masked.abs().max()), 1e-12)
            apart = float((masked - removed).abs().max()) / scale
            self.difference = max(self.difference, apart)


def evaluate_plan(
    prepared: PreparedSubject,
    plan: Plan,
    *,
    recovery: Recovery | None = None,
    batch_size: int | None = None,
    confidence: float = 0.95,
    latency_seconds: float = 5.0,
    latency_batch: int | None = None,
    progress: OnProgress | None = None,
) -> Evaluation:
    """Measure a plan on the whole evaluation subset.

    Args:
        prepared: The subject.
        plan: The plan.
        recovery: The plan repaired or trained, from `analysis.recovery.repaired_plan`: then this is
            measured.
        batch_size: Samples per batch; that of the subject by default.
        confidence: Of all intervals.
        latency_seconds: Time for the latency measurement of both models; 0 leaves it out.
        latency_batch: Samples per timed pass; that of the evaluation by default.
        progress: Told after each batch, in samples.

    Raises:
        PlanError: The plan does not fit the subject.
        InputError: The subject has no evaluation data.
    """
    require_fit(prepared, plan)
    split = prepared.subject.evaluation
    if split is None:
        raise InputError("a plan is evaluated on data, but the subject has none: give --data")
    if recovery is None:
        edit, small = masked_edit(prepared, plan), removed_model(prepared, plan)
    else:
        edit, small = recovery.edit, recovered_model(prepared, recovery)
    is_masked, task = not edit.kept, prepared.subject.task
    names = prepared.subject.class_names
    slices = Slices(split, batch_size or prepared.batch_size)
    tally = _measured(prepared, edit, small, slices, progress)
    timed = slices.read(0).inputs
    timed = timed if latency_batch is None else timed[:latency_batch]
    latency = _latency(prepared, small, timed, seconds=latency_seconds)
    before, after, between = _variants(
        prepared,
        plan,
        tally,
        small,
        latency,
        edit=edit.tensors if is_masked else None,
        confidence=confidence,
    )
    return Evaluation(
        samples=tally.dense.samples,
        labelled=prepared.subject.has_labels,
        dense=before,
        removed=after,
        masked=between,
        classes=(
            *class_changes(tally.by_class, names, confidence=confidence),
            *task.class_changes(tally.removed, names, confidence),
        ),
        answers=tally.answers.result(),
        whole=tally.whole(confidence),
        same_answers=tally.same if is_masked else None,
        largest_difference=tally.difference if is_masked else None,
        notes=(
            *_notes(plan, recovery, is_masked=is_masked),
            *filter(None, [task.left_out(tally.dense, names)]),
        ),
        repair=NO_REPAIR if recovery is None else recovery.plan.repair,
        trained="" if recovery is None else recovery.plan.trained,
        change=change_in(tally.probe, REMOVED),
    )


def _measured(
    prepared: PreparedSubject,
    edit: Edit,
    small: nn.Module,
    slices: Slices,
    progress: OnProgress | None,
) -> _Tally:
    """Measure all forms of the model on all slices."""
    forms: dict[str, Edit | nn.Module] = {REMOVED: small}
    if not edit.kept:
        forms[MASKED] = edit
    task = prepared.subject.task
    tally = _Tally(task, prepared.subject.class_names)
    names = [frozenset(edit.tensors)]
    runner = EditRunner(prepared, names=names)
    for found in measure(
        prepared,
        forms,
        slices,
        task,
        runner=runner,
        observe=tally.compare,
        probe=MOST_SAMPLES,
    ):
        tally.probe += [found.probe] if found.probe is not None else []
        tally.dense += found.baseline
        tally.removed += found.require(REMOVED)
        if MASKED in forms:
            tally.masked += found.require(MASKED)
        if progress is not None:
            progress(Progress(tally.dense.samples, slices.total, "samples"))
    return tally


def _latency(
    prepared: PreparedSubject, small: nn.Module, inputs: Inputs, *, seconds: float
) -> dict[str, Latency]:
    if seconds <= 0:
        return {}
    return compare_latency({DENSE: prepared.model, REMOVED: small}, inputs, seconds=seconds)


def _nonzero(tensors: Iterable[Tensor]) -> int:
    return sum(int(torch.count_nonzero(item)) for item in tensors)


def _variants(
    prepared: PreparedSubject,
    plan: Plan,
    tally: _Tally,
    small: nn.Module,
    latency: Mapping[str, Latency],
    *,
    edit: Mapping[str, Tensor] | None,
    confidence: float,
) -> tuple[MeasuredModel, MeasuredModel, MeasuredModel | None]:
    """Return dense, removed and (where it exists) masked."""
    model, task = prepared.model, prepared.subject.task
    sizes = meter(prepared)
    dense_params, dense_macs = sizes.predict({})
    _, small_macs = sizes.predict(kept_counts(plan))
    dense = _variant(
        DENSE,
        task,
        tally.dense,
        confidence=confidence,
        params=dense_params,
        nonzero=_nonzero(model.parameters()),
        macs=dense_macs,
        file_bytes=file_bytes(model),
        latency=latency.get(DENSE),
    )
    removed = _variant(
        REMOVED,
        task,
        tally.removed,
        confidence=confidence,
        params=sum(item.numel() for item in small.parameters()),
        nonzero=_nonzero(small.parameters()),
        macs=small_macs,
        file_bytes=file_bytes(small),
        latency=latency.get(REMOVED),
    )
    if edit is None:
        return dense, removed, None
    masked = _variant(
        MASKED,
        task,
        tally.masked,
        confidence=confidence,
        params=dense_params,
        nonzero=_nonzero(edit.get(name, item) for name, item in model.named_parameters()),
        macs=dense_macs,
        file_bytes=dense.file_bytes,
        latency=None,
    )
    return dense, removed, masked


def _variant(
    name: str,
    task: Task,
    sums: Sums,
    *,
    confidence: float,
    params: int,
    nonzero: int,
    macs: int,
    file_bytes: int,
    latency: Latency | None,
) -> MeasuredModel:
    return MeasuredModel(
        name=name,
        sums=sums,
        **task.reading(sums, confidence, is_dense=name == DENSE),
        params=params,
        nonzero=nonzero,
        macs=macs,
        file_bytes=file_bytes,
        latency=latency,
    )


def class_changes(
    counts: Tensor | None, names: Sequence[str], *, confidence: float
) -> tuple[ClassChange, ...]:
    """Turn counts ``(classes, 4)`` of samples, dense right, lost, gained into changes."""
    rows = []
    for place, (samples, right, lost, gained) in enumerate(
        [] if counts is None else counts.tolist()
    ):
        if samples == 0:
            continue
        drop, interval = paired_drop(lost, gained, samples, confidence)
        rows.append(
            ClassChange(
                class_name=names[place] if place < len(names) else str(place),
                samples=samples,
                dense=right / samples,
                pruned=(right - lost + gained) / samples,
                change=-drop,
                change_low=-interval.high,
                change_high=-interval.low,
                clear=interval.low > 0 or interval.high < 0,
            )
        )
    return tuple(rows)


def _notes(plan: Plan, recovery: Recovery | None, *, is_masked: bool) -> tuple[str, ...]:
    notes = []
    if recovery is not None:
        notes.append(f"masked and removed are {recovery.plan.recovery_words}")
        notes += [f"layer {name} was not repaired: {why}" for name, why in recovery.skipped.items()]
    if not is_masked:
        notes.append(
            "a norm mixes channels of a pruned group, so zeroing them is not the same as removing "
            "them: only the physically removed model is measured"
        )
    if not SEMANTICS.get(plan.semantics).removes:
        notes.append(
            "the plan masks weights and biases and leaves batch norm alone: the masked model "
            "differs from the physically removed one"
        )
    return tuple(notes)
