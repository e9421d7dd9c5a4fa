"""Scores of what a plan prunes, of the weights as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from analysis.edits import CALIBRATION_BATCH, Target, model_scores
from pruners.batches import Inputs, joined
from pruners.criteria import CRITERIA, DATA_FREE
from pruners.statistics import Statistics, collect

if TYPE_CHECKING:
    from analysis.recovery.training.method import Context

# Training samples that criteria see of which statistics are taken.
SAMPLES = 512


def sample_batches(context: Context, samples: int, size: int) -> list[tuple[Inputs, Tensor | None]]:
    """Return the first training samples that a method may look at, in batches of a size.

    Args:
        context: Gives batches of the recipe's size.
        samples: How many; fewer if there are no more.
        size: Samples a batch.
    """
    given = context.batches(-(-samples // context.recipe.batch_size))
    inputs = joined(batch for batch, _ in given)[:samples]
    labels = [found for _, found in given if found is not None]
    if len(labels) < len(given):
        return [(part, None) for part in inputs.split(size)]
    truth = torch.cat(labels)[:samples]
    return list(zip(inputs.split(size), torch.split(truth, size), strict=True))


def current_scores(context: Context, targets: Sequence[Target]) -> dict[str, Tensor]:
    """Score targets in the model as it is now, each by the criterion of its plan's entry.

    Statistics come from training samples, in eval mode; the model is left as found.

    Args:
        context: The training.
        targets: What to score.

    Returns:
        Scores by `Trainee.key`, as `analysis.edits.scores` gives them.

    Raises:
        UnsupportedError: A criterion does not apply, or the model gives no gradients.
        InputError: Scores are not finite.
    """
    trainee = context.trainee
    prepared, plan = trainee.prepared, trainee.plan
    own = {(entry.granularity, entry.name): entry.criterion for entry in plan.entries}
    chosen = {item: own[item.granularity, item.name] for item in targets}
    needs = frozenset().union(*(CRITERIA.get(name).needs for name in chosen.values())) - {"seed"}
    statistics = _statistics(context, needs) if needs else None
    with torch.no_grad():
        return {
            trainee.key(target): model_scores(
                prepared,
                trainee.model,
                target,
                chosen[target],
                statistics=statistics,
                seed=context.seed,
                reduction=plan.reduction,
            )
            for target in targets
        }


def _statistics(context: Context, needs: frozenset[str]) -> Statistics:
    prepared = context.trainee.prepared
    samples = 1 if needs <= DATA_FREE else SAMPLES
    return collect(
        context.trainee.model,
        sample_batches(context, samples, CALIBRATION_BATCH),
        layers=prepared.layers(),
        needs=needs,
        seed=context.seed,
        loss=prepared.subject.task.loss,
        draw=prepared.subject.task.drawn,
    )
