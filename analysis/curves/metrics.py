"""The metrics that curves can show, with their columns and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pruners.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that curves can show.

    Attributes:
        column: Column of the points table.
        low: Column of the interval's lower end; empty where the table has no interval.
        high: Column of the upper end.
        label: What an axis says.
        unit: Unit after scaling: ``pp``, ``%`` or ``nats``.
        scale: Factor from the table's value to the shown one.
    """

    column: str
    low: str
    high: str
    label: str
    unit: str
    scale: float


METRICS: Mapping[str, Metric] = {
    "drop": Metric("accuracy_drop", "drop_low", "drop_high", "accuracy drop", "pp", 100.0),
    "accuracy": Metric("accuracy", "", "", "accuracy", "%", 100.0),
    "loss": Metric("loss_delta", "", "", "loss increase", "nats", 1.0),
    "kl": Metric("kl", "", "", "KL divergence from dense", "nats", 1.0),
    "agreement": Metric("agreement", "", "", "same answer as dense", "%", 100.0),
}


def metric(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        UnknownNameError: No such metric.
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return METRICS[name]
