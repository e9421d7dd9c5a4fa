"""Dense, masked and physically removed, side by side on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject
from analysis.evaluation.latency import Latency, compare_latency
from analysis.evaluation.report import (
    DENSE,
    MASKED,
    REMOVED,
    ClassChange,
    Evaluation,
    MeasuredModel,
)
from analysis.plans import kept_counts, masked_edit, meter, removed_model, require_fit
from analysis.records import Plan, Sums
from analysis.recovery import Recovery, recovered_model
from analysis.tasks import batch_sums
from analysis.uncertainty import paired_drop, wilson
from pruners.errors import InputError


@dataclass(slots=True)
class _Tally:
    """Counts that grow batch by batch."""

    dense: Sums
    masked: Sums
    removed: Sums
    by_class: Tensor
    same: int = 0
    difference: float = 0.0


def evaluate_plan(
    prepared: PreparedSubject,
    plan: Plan,
    *,
    recovery: Recovery | None = None,
    batch_size: int | None = None,
    confidence: float = 0.95,
    latency_seconds: float = 5.0,
    latency_batch: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a plan on the whole evaluation subset.

    Args:
        prepared: The subject.
        plan: The plan.
        recovery: The plan repaired, from `analysis.recovery.plan_repair.recover_plan`: then this
            is measured.
        batch_size: Samples per batch; that of the subject by default.
        confidence: Of all intervals.
        latency_seconds: Time for the latency measurement of both models; 0 leaves it out.
        latency_batch: Samples per timed pass; that of the evaluation by default.
        progress: Called with (samples done, samples).

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
    is_masked = not edit.kept
    size = batch_size or prepared.subject.spec.batch_size
    batches = _counted(split.batches(size), total=len(split), progress=progress)
    tally, first = _measured(prepared, edit, small, batches)
    timed = first if latency_batch is None else first[:latency_batch]
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
        classes=_classes(tally.by_class, prepared.subject.class_names, confidence=confidence),
        same_answers=tally.same if is_masked else None,
        largest_difference=tally.difference if is_masked else None,
        notes=_notes(plan, recovery, is_masked=is_masked),
        repair="none" if recovery is None else recovery.method,
    )


def _measured(
    prepared: PreparedSubject,
    edit: Edit,
    small: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor | None]],
) -> tuple[_Tally, Tensor]:
    """Run all forms of the model on all batches; return the counts and the first batch."""
    tally = _Tally(Sums(), Sums(), Sums(), torch.zeros(0, 4, dtype=torch.int64))
    first: Tensor | None = None
    for inputs, labels in batches:
        first = inputs if first is None else first
        dense = prepared.evaluator.dense(inputs)
        masked = None if edit.kept else next(iter(prepared.evaluator.edited([edit.tensors])))
        with torch.inference_mode():
            removed = small(inputs)
        _add(tally, dense, masked, removed, labels, num_classes=prepared.subject.num_classes)
    prepared.evaluator.release()
    if first is None:
        raise InputError("a plan is evaluated on data, but the evaluation subset is empty")
    return tally, first


def _counted(
    batches: Iterable[tuple[Tensor, Tensor | None]],
    *,
    total: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    done = 0
    for inputs, labels in batches:
        yield inputs, labels
        done += len(inputs)
        if progress is not None:
            progress(done, total)


def _add(
    tally: _Tally,
    dense: Tensor,
    masked: Tensor | None,
    removed: Tensor,
    labels: Tensor | None,
    *,
    num_classes: int,
) -> None:
    tally.dense += batch_sums(dense, dense, labels)
    tally.removed += batch_sums(dense, removed, labels)
    if masked is not None:
        tally.masked += batch_sums(dense, masked, labels)
        tally.same += int((masked.argmax(1) == removed.argmax(1)).sum())
        scale = max(float(masked.abs().max()), 1e-12)
        tally.difference = max(tally.difference, float((masked - removed).abs().max()) / scale)
    truth = dense.argmax(1) if labels is None else labels
    before, after = dense.argmax(1) == truth, removed.argmax(1) == truth
    flags = torch.stack([torch.ones_like(before), before, before & ~after, after & ~before], 1)
    counts = torch.zeros(num_classes, 4, dtype=torch.int64, device=truth.device)
    counts.index_add_(0, truth, flags.to(torch.int64))
    tally.by_class = counts.cpu() if not len(tally.by_class) else tally.by_class + counts.cpu()


def _latency(
    prepared: PreparedSubject, small: nn.Module, inputs: Tensor, *, seconds: float
) -> dict[str, Latency]:
    if seconds <= 0:
        return {}
    return compare_latency({DENSE: prepared.model, REMOVED: small}, inputs, seconds=seconds)


def file_bytes(model: nn.Module) -> int:
    """Return the size of a model's weights as a safetensors file."""
    # Shared tensors are stored once under their first name, as in the export.
    seen: set[int] = set()
    state = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            state[name] = tensor.detach().cpu().contiguous()
    return len(save(state))


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
    model = prepared.model
    sizes = meter(prepared)
    dense_params, dense_macs = sizes.predict({})
    _, small_macs = sizes.predict(kept_counts(plan))
    dense = _variant(
        DENSE,
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
    sums: Sums,
    *,
    confidence: float,
    params: int,
    nonzero: int,
    macs: int,
    file_bytes: int,
    latency: Latency | None,
) -> MeasuredModel:
    accuracy = wilson(sums.correct, sums.samples, confidence)
    drop, interval = paired_drop(sums.lost, sums.gained, sums.samples, confidence)
    # The dense model against itself differs in nothing, for certain.
    low, high = (0.0, 0.0) if name == DENSE else (interval.low, interval.high)
    return MeasuredModel(
        name=name,
        sums=sums,
        accuracy=sums.correct / sums.samples,
        low=accuracy.low,
        high=accuracy.high,
        drop=drop,
        drop_low=low,
        drop_high=high,
        params=params,
        nonzero=nonzero,
        macs=macs,
        file_bytes=file_bytes,
        latency=latency,
    )


def _classes(counts: Tensor, names: Sequence[str], *, confidence: float) -> tuple[ClassChange, ...]:
    """Turn counts ``(classes, 4)`` of samples, dense right, lost, gained into changes."""
    rows = []
    for place, (samples, right, lost, gained) in enumerate(counts.tolist()):
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
        notes.append(f"masked and removed are repaired by {recovery.method}")
        notes += [f"{name} was not repaired: {why}" for name, why in recovery.skipped.items()]
    if not is_masked:
        notes.append(
            "a norm mixes channels of a pruned group, so zeroing them is not the same as removing "
            "them: only the physically removed model is measured"
        )
    if plan.semantics == "weights":
        notes.append(
            "the plan masks weights and biases and leaves batch norm alone: the masked model "
            "differs from the physically removed one"
        )
    return tuple(notes)
