"""What a repair brought, as measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from analysis.edits import Edit, PreparedSubject, edited_model
from analysis.measuring import Slices, measure
from analysis.plans import plan_edit
from analysis.records import Count, Document, Plan, Record, Seconds, Share, Sums
from analysis.recovery.plan_repair import Recovery
from analysis.tasks import Task
from pruners.errors import InputError, UnsupportedError
from pruners.granularity import parse

# Repairs that are done with a layer before they look at the next.
BY_LAYER = ("lsq", "obs", "sparsegpt-sequential", "wanda-sequential")
# What is pruned in one layer alone.
IN_ONE_LAYER = frozenset({"element", "n:m"})


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
        model: What the model scores with this layer and those before it repaired, later ones
            dense; None where nobody asked.
    """

    layer: str
    before: float
    after: float
    model: MeasuredAccuracy | None = None


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


def check_after_each(plan: Plan) -> None:
    """Check that a plan's layers are repaired one by one, so that there is a model after each.

    Raises:
        UnsupportedError: The repair works otherwise, or units go, which many layers share.
    """
    if plan.repair not in BY_LAYER or plan.trained:
        raise UnsupportedError(
            f"a score after each layer needs a repair that goes layer by layer, one of "
            f"{', '.join(BY_LAYER)}; this is {plan.recovery_words}"
        )
    for item in plan.entries:
        if item.kept < item.total and parse(item.granularity).kind not in IN_ONE_LAYER:
            raise UnsupportedError(
                f"a score after each layer is of plans that prune elements or N:M; this one prunes "
                f"{item.layer} by {item.granularity}, which changes several layers at once"
            )


def report(
    prepared: PreparedSubject, plan: Plan, recovery: Recovery, *, after_each: bool = False
) -> RecoveryReport:
    """Measure dense, pruned and recovered on the evaluation subset.

    Args:
        prepared: The subject.
        plan: The plan as it was asked.
        recovery: What `recover_plan` gave.
        after_each: Measure the model after each repaired layer as well, as the literature of large
            models does: one more pass over the samples a layer.

    Raises:
        InputError: There is no evaluation data, or outputs are not finite.
        UnsupportedError: See `check_after_each`.
    """
    if after_each:
        check_after_each(recovery.plan)
    split = prepared.subject.evaluation
    if split is None:
        raise InputError("measuring needs evaluation data; give a data address")
    task = prepared.subject.task
    edits: dict[Hashable, Edit] = {"pruned": plan_edit(prepared, plan), "recovered": recovery.edit}
    if after_each:
        edits |= dict(enumerate(_steps(recovery)))
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
            LayerError(
                layer=item.layer,
                before=item.error_before,
                after=item.error_after,
                model=measured(task, sums[done]) if after_each else None,
            )
            for done, item in enumerate(recovery.layers)
        ),
        skipped=dict(recovery.skipped),
        seconds=recovery.seconds,
    )


def _steps(recovery: Recovery) -> Iterator[Edit]:
    """Yield the model after each layer: what no layer's repair covers is pruned from the first on.

    A repair does not come back to a layer, so that these are the models that it saw when it came
    to the next one, but for later layers, on which no input of that one hangs.
    """
    waiting = {item.layer for item in recovery.layers}
    for item in recovery.layers:
        waiting.discard(item.layer)
        yield Edit(
            {
                name: tensor
                for name, tensor in recovery.edit.tensors.items()
                if name.rpartition(".")[0] not in waiting
            }
        )
