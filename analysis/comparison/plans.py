"""Two plans of one subject side by side: ratios, sizes, and their models on the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from analysis.edits import PreparedSubject
from analysis.evaluation import class_changes
from analysis.measuring import EditRunner, Slice, Slices, measure
from analysis.plans import kept_counts, meter, removed_model, require_fit
from analysis.records import (
    ClassChange,
    Count,
    Document,
    OnProgress,
    Plan,
    Progress,
    Record,
    Recovered,
    Sums,
)
from analysis.recovery import recovered_model, repaired_plan
from analysis.tasks import Task
from pruners.errors import InputError

_ONE, _OTHER = "one", "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSide(Recovered, Record):
    """One of the two plans.

    Attributes:
        accuracy: The task's score of its model, repaired or trained as the plan says.
        low: Lower end of its interval.
        high: Upper end.
        drop: Score lost against dense.
        drop_low: Lower end of its paired interval.
        drop_high: Upper end.
        params: Parameters that stay.
        macs: MACs per sample that stay.
        repair: How the model was repaired.
        trained: How it was trained, for a person; empty if it was not.
    """

    accuracy: float
    low: float
    high: float
    drop: float
    drop_low: float
    drop_high: float
    params: Count
    macs: Count
    repair: str
    trained: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPair(Record):
    """What two plans take of one group or layer.

    Attributes:
        layer: The layer that names it.
        one: Fraction of its units that the first plan removes.
        other: The same of the second one.
        total: Its units.
    """

    layer: str
    one: float
    other: float
    total: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanComparison(Document):
    """Two plans of one subject, measured on the same samples.

    Attributes:
        samples: Samples evaluated.
        dense_params: Parameters of the dense model.
        dense_macs: Its MACs per sample.
        one: The first plan.
        other: The second one.
        same_answers: Samples to which both models give the same answer.
        drop: Score that the second model loses against the first; below zero it is better.
        drop_low: Lower end of its paired interval.
        drop_high: Upper end.
        layers: All groups and layers that one of them prunes, in the order of the first plan.
        agreement: Share of answers - of samples, tokens or pixels - that both models give; None
            where answers are numbers.
        classes: Change of each class from the first model to the second: ``dense`` is the
            accuracy of the first, ``pruned`` that of the second.
    """

    samples: Count
    dense_params: Count
    dense_macs: Count
    one: PlanSide
    other: PlanSide
    same_answers: Count
    drop: float
    drop_low: float
    drop_high: float
    layers: tuple[LayerPair, ...]
    classes: tuple[ClassChange, ...] = ()
    agreement: float | None = None


class _Pair:
    """What two models show beside each other, part by part.

    Attributes:
        by_class: Samples, right by the first, lost and gained by the second, by class.
        same: Samples with the same answer.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._vector: Tensor | None = None
        self.by_class: Tensor | None = None
        self.same = 0

    def compare(self, dense: Tensor, outputs: Mapping[str, Tensor], part: Slice) -> None:
        """Add a part of a slice."""
        if len(outputs) < 2:
            return
        one, other = outputs[_ONE], outputs[_OTHER]
        # Without labels the dense model's answers are the right ones, for both.
        truth = self._task.own_targets(dense) if part.targets is None else part.targets
        self.same += int(self._task.agree(one, other).sum())
        row = self._task.vector(one, other, truth, part.groups).double().cpu()
        counts = self._task.by_class(one, other, truth).cpu()
        self._vector = row if self._vector is None else self._vector + row
        self.by_class = counts if self.by_class is None else self.by_class + counts

    @property
    def sums(self) -> Sums:
        """Sums of the second model, the first one in the place of dense."""
        assert self._vector is not None
        return self._task.sums(self._vector.tolist())


def compare_plans(
    prepared: PreparedSubject,
    one: Plan,
    other: Plan,
    *,
    confidence: float = 0.95,
    progress: OnProgress | None = None,
) -> PlanComparison:
    """Measure two plans side by side, each repaired as it says.

    Args:
        prepared: The subject of both.
        one: The first plan.
        other: The second one.
        confidence: Of all intervals.
        progress: Told after each batch, in samples.

    Raises:
        PlanError: One of them does not fit the subject.
        InputError: The subject has no evaluation data.
    """
    split, task = prepared.subject.evaluation, prepared.subject.task
    names = prepared.subject.class_names
    if split is None:
        raise InputError("plans are compared on data, but the subject has none: give --data")
    forms = {_ONE: _model(prepared, one), _OTHER: _model(prepared, other)}
    pair = _Pair(task)
    found = {_ONE: Sums(), _OTHER: Sums()}
    slices = Slices(split, prepared.batch_size)
    runner = EditRunner(prepared)
    for part in measure(prepared, forms, slices, task, runner=runner, observe=pair.compare):
        found = {name: sums + part.require(name) for name, sums in found.items()}
        if progress is not None:
            progress(Progress(found[_ONE].samples, slices.total, "samples"))
    dense_params, dense_macs = meter(prepared).predict({})
    against = task.drop_interval(pair.sums, confidence)
    return PlanComparison(
        samples=found[_ONE].samples,
        dense_params=dense_params,
        dense_macs=dense_macs,
        one=_side(prepared, one, found[_ONE], confidence),
        other=_side(prepared, other, found[_OTHER], confidence),
        same_answers=pair.same,
        agreement=task.agreement(pair.sums),
        drop=task.drop(pair.sums),
        drop_low=against.low,
        drop_high=against.high,
        layers=layer_pairs(one, other),
        classes=(
            *class_changes(pair.by_class, names, confidence=confidence),
            *task.class_changes(pair.sums, names, confidence),
        ),
    )


def layer_pairs(one: Plan, other: Plan) -> tuple[LayerPair, ...]:
    """Return what two plans take of each group or layer that one of them prunes."""
    entries = [{item.name: item for item in plan.entries} for plan in (one, other)]
    pairs = []
    for name in dict.fromkeys([*entries[0], *entries[1]]):
        both = [known.get(name) for known in entries]
        shares = [0.0 if item is None else 1 - item.kept / item.total for item in both]
        first = next(item for item in both if item is not None)
        if any(shares):
            pairs.append(
                LayerPair(layer=first.layer, one=shares[0], other=shares[1], total=first.total)
            )
    return tuple(pairs)


def _model(prepared: PreparedSubject, plan: Plan) -> nn.Module:
    """Return the plan's model as Evaluate measures and Export writes it."""
    require_fit(prepared, plan)
    recovery = repaired_plan(prepared, plan)
    with torch.inference_mode(mode=False):
        if recovery is None:
            return removed_model(prepared, plan)
        return recovered_model(prepared, recovery)


def _side(prepared: PreparedSubject, plan: Plan, sums: Sums, confidence: float) -> PlanSide:
    task = prepared.subject.task
    params, macs = meter(prepared).predict(kept_counts(plan))
    return PlanSide(
        **task.reading(sums, confidence),
        params=params,
        macs=macs,
        repair=plan.repair,
        trained=plan.trained,
    )
