"""The metrics that curves can show, with their columns and intervals."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.records import DEFAULT_TASK
from analysis.tasks import Metric, scoring_of
from pruners.errors import UnknownNameError

DROP, SCORE = "drop", "accuracy"


def metrics(task: str = DEFAULT_TASK) -> Mapping[str, Metric]:
    """Return the metrics of a task by name: drop and score, and those of its own.

    Raises:
        UnknownNameError: No such task.
    """
    scoring = scoring_of(task)
    words = scoring.words
    return {
        DROP: Metric(
            "accuracy_drop",
            "drop_low",
            "drop_high",
            words.drop_label,
            words.drop_unit,
            words.drop_scale,
            is_cost=True,
        ),
        SCORE: Metric("accuracy", "", "", words.label, words.unit, words.scale),
        **scoring.metrics,
    }


def metric(name: str, task: str = DEFAULT_TASK) -> Metric:
    """Return the metric of that name.

    Raises:
        UnknownNameError: No such metric.
    """
    known = metrics(task)
    if name not in known:
        raise UnknownNameError("metric", name, known)
    return known[name]


def costs(task: str = DEFAULT_TASK) -> Mapping[str, Metric]:
    """Return the metrics of a task that strategies can add up over layers.

    Raises:
        UnknownNameError: No such task.
    """
    return {name: found for name, found in metrics(task).items() if found.is_cost}


def cost_metric(name: str, task: str = DEFAULT_TASK) -> Metric:
    """Return the cost of that name.

    Raises:
        UnknownNameError: No such metric, or one that is no cost.
    """
    known = costs(task)
    if name not in known:
        raise UnknownNameError("cost", name, known)
    return known[name]
