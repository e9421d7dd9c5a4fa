"""Further numbers of a measured model, beside its score: what pages, command line and JSON show."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.records import Sums
from analysis.tasks import Metric, Scoring

_LOSS = Metric("loss", "loss_low", "loss_high", "loss", "", 1.0)


def measures(scoring: Scoring, sums: Sums, *, labelled: bool) -> dict[str, str]:
    """Return what else sums say of a model: label -> number and interval, with its unit.

    Args:
        scoring: Of the task.
        sums: Of the model.
        labelled: Whether the data have labels.
    """
    values = scoring.values(sums, None, has_labels=labelled)
    shown = [item for item in scoring.metrics.values() if not item.is_cost]
    asked = [_LOSS, *(item for item in shown if item.column != _LOSS.column)]
    return {item.label: _told(values, item) for item in asked if item.column in values}


def measured_columns(scoring: Scoring, sums: Sums, *, labelled: bool) -> dict[str, float]:
    """Return the same by column of the points table, not scaled, with the counts behind a score."""
    if not sums.samples:
        return {}
    right = scoring.right_count(sums)
    counts: dict[str, float] = {} if right is None else {scoring.right: right}
    return counts | scoring.values(sums, None, has_labels=labelled)


def _told(values: Mapping[str, float], metric: Metric) -> str:
    """Return a number with its interval, where it has one."""
    form = ".4f" if metric is _LOSS else ".2f" if metric.unit == "%" else ".4g"
    number, *ends = (
        f"{values[name] * metric.scale:{form}}"
        for name in (metric.column, metric.low, metric.high)
        if name in values
    )
    unit = metric.unit and f" {metric.unit}"
    interval = f" ({' to '.join(ends)}{unit})" if ends else ""
    return f"{number}{unit}{interval}"
