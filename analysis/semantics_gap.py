"""How far two runs that differ in the semantics of a pruned channel are apart."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

_POINT = ["criterion", "granularity", "layer", "group", "kept"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Differences in accuracy over the points that both runs measured, as fractions.

    Attributes:
        points: Number of these points.
        mean: Mean absolute difference.
        largest: Largest absolute difference.
        layer: Where it is.
        ratio: At which achieved ratio.
    """

    points: int
    mean: float
    largest: float
    layer: str
    ratio: float


def semantics_gap(first: pd.DataFrame, second: pd.DataFrame) -> Gap | None:
    """Compare two points tables point by point; None without common points.

    Args:
        first: Points of one run.
        second: Points of the other, of the same subject.
    """
    columns = [*_POINT, "accuracy", "ratio_achieved"]
    both = first[columns].merge(second[columns], on=_POINT, suffixes=("", "_other"))
    both = both.dropna(subset=["accuracy", "accuracy_other"])
    if both.empty:
        return None
    apart = (both["accuracy"] - both["accuracy_other"]).abs()
    worst = both.iloc[int(apart.argmax())]
    return Gap(
        points=len(apart),
        mean=float(apart.mean()),
        largest=float(apart.max()),
        layer=str(worst["layer"]),
        ratio=float(worst["ratio_achieved"]),
    )
