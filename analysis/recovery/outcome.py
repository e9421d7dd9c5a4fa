"""What a repair brought, as measured."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from analysis.edits import PreparedSubject, edited_model
from analysis.measuring import Slices, measure
from analysis.plans import plan_edit
from analysis.records import Count, Document, Plan, Record, Seconds, Share, Sums
from analysis.recovery.plan_repair import Recovery
from analysis.tasks import Task
from pruners.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredAccuracy(Record):
    """Score of one version of the model on the evaluation subset: of classification, accuracy.

    Attributes:
        correct: Right answers of ``samples``; None where the score is no share.
        accuracy: The task's score.
        accuracy_low: Lower end of its interval.
        accuracy_high: Its upper end.
        drop: Score lost against dense; paired.
        drop_low: Lower end of its interval.
        drop_high: Its upper end.
        agreement: Fraction of answers equal to the dense model's; None where nobody counted.
    """

    samples: Count
    correct: Count | None
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    drop: float
    drop_low: float
    drop_high: float
    agreement: Share | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError(Record):
    """Mean squared error of a layer's outputs against the dense model's.

    Attributes:
        before: Of masking alone.
        after: After the repair.
    """

    layer: str
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport(Document):
    """What a recovery gained.

    Attributes:
        method: One of `METHODS`.
        dense: The dense model.
        pruned: The plan as it is.
        recovered: The plan after the recovery.
        layers: Output errors on the calibration set, in the order of execution.
        skipped: Layer name -> why it was not repaired.
        seconds: Wall time of the recovery, without measuring.
    """

    method: str
    dense: MeasuredAccuracy
    pruned: MeasuredAccuracy
    recovered: MeasuredAccuracy
    layers: tuple[LayerError, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: Seconds = 0.0


def measured(task: Task, sums: Sums) -> MeasuredAccuracy:
    """Return score and drop with their 95 % intervals."""
    accuracy, interval = task.score_interval(sums), task.drop_interval(sums)
    return MeasuredAccuracy(
        samples=sums.samples,
        correct=task.right_count(sums),
        accuracy=task.score(sums),
        accuracy_low=accuracy.low,
        accuracy_high=accuracy.high,
        drop=task.drop(sums),
        drop_low=interval.low,
        drop_high=interval.high,
        agreement=task.same_share(sums),
    )


def report(prepared: PreparedSubject, plan: Plan, recovery: Recovery) -> RecoveryReport:
    """Measure dense, pruned and recovered on the evaluation subset.

    Args:
        prepared: The subject.
        plan: The plan as it was asked.
        recovery: What `recover_plan` gave.

    Raises:
        InputError: There is no evaluation data, or outputs are not finite.
    """
    split = prepared.subject.evaluation
    if split is None:
        raise InputError("measuring needs evaluation data; give a data address")
    task = prepared.subject.task
    edits = {"pruned": plan_edit(prepared, plan), "recovered": recovery.edit}
    # Removed once, not once a slice.
    forms = {
        name: edited_model(prepared, edit) if edit.kept else edit for name, edit in edits.items()
    }
    dense, sums = Sums(), dict.fromkeys(edits, Sums())
    for found in measure(prepared, forms, Slices(split, prepared.batch_size), task):
        dense += found.baseline
        sums = {name: known + found.require(name) for name, known in sums.items()}
    return RecoveryReport(
        method=recovery.method,
        # Against itself it differs in nothing, for certain.
        dense=dataclasses.replace(measured(task, dense), drop_low=0.0, drop_high=0.0),
        pruned=measured(task, sums["pruned"]),
        recovered=measured(task, sums["recovered"]),
        layers=tuple(
            LayerError(layer=item.layer, before=item.error_before, after=item.error_after)
            for item in recovery.layers
        ),
        skipped=dict(recovery.skipped),
        seconds=recovery.seconds,
    )
