"""Compare criteria: who lets each layer lose most, and do they remove the same channels?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.curves import NOT_PRUNABLE, criteria_of, curve_arrays, is_known, tolerated

WIN_COLUMNS = ["layer", "criterion", "tolerated", "low", "high", "outcome", "partial"]


def comparability(points: pd.DataFrame) -> list[str]:
    """Say why criteria of this table must not be compared; empty when they may.

    Criteria are comparable when all known points were measured on the same number of samples (one
    run evaluates all on one subset) at one granularity.
    """
    reasons = []
    known = points[is_known(points)]
    granularities = sorted(known["granularity"].unique())
    if len(granularities) > 1:
        reasons.append(f"granularities differ: {', '.join(granularities)}")
    samples = known.groupby("criterion", sort=False)["samples"].max()
    if samples.nunique() > 1:
        reasons.append(
            "sample counts differ: "
            + ", ".join(f"{name} {int(count)}" for name, count in samples.items())
        )
    return reasons


def win_matrix(points: pd.DataFrame, *, tolerance: float) -> pd.DataFrame:
    """Say for each layer which criteria let it lose most within the tolerance.

    Args:
        points: The points table.
        tolerance: Largest accepted drop, as a fraction.

    Returns:
        One row per layer and criterion: ``layer, criterion, tolerated, low, high, outcome,
        partial``. Outcome is ``best`` (surely more than every other), ``tied`` (no other is surely
        more), ``worse`` (another is surely more) or ``n/a`` (no point measured). A layer with one
        measured criterion has no contest: its outcome is ``only``.
    """
    table = tolerated(points, tolerance=tolerance)
    criteria = criteria_of(points)
    by_layer: dict[str, dict[str, dict[Hashable, Any]]] = {}
    for row in table[table["status"] != NOT_PRUNABLE].to_dict("records"):
        known = by_layer.setdefault(row["layer"], {})
        if row["measured"]:
            known[row["criterion"]] = row
    rows = []
    for layer, found in by_layer.items():
        for criterion in criteria:
            if criterion not in found:
                rows.append([layer, criterion, np.nan, np.nan, np.nan, "n/a", True])
                continue
            row = found[criterion]
            others = [other for name, other in found.items() if name != criterion]
            ends = [row["tolerated"], row["low"], row["high"]]
            rows.append([layer, criterion, *ends, _outcome(row, others), row["partial"]])
    return pd.DataFrame(rows, columns=WIN_COLUMNS)


def _outcome(row: Mapping[Hashable, Any], others: Sequence[Mapping[Hashable, Any]]) -> str:
    if not others:
        return "only"
    if any(other["low"] > row["high"] for other in others):
        return "worse"
    return "best" if all(row["low"] > other["high"] for other in others) else "tied"


def leading(table: pd.DataFrame, *, most: int, first: Sequence[str] = ()) -> list[str]:
    """Return the criteria to show where not all fit.

    Args:
        table: Rows of what `analysis.curves.tolerated` returned.
        most: How many.
        first: Those to show in any case.

    Returns:
        ``first``, then those that tolerate most on average; in the order of the table.
    """
    means = table.groupby("criterion", sort=False)["tolerated"].mean()
    ranked = means.sort_values(ascending=False, kind="stable").index
    names = [name for name in (*first, *ranked) if name in means.index]
    chosen = list(dict.fromkeys(names))[:most]
    return [str(name) for name in means.index if name in chosen]


def summary(
    points: pd.DataFrame, *, tolerance: float, weights: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Summarise each criterion over the layers.

    Args:
        points: The points table.
        tolerance: Largest accepted drop, as a fraction.
        weights: Parameters by layer, for the weighted means; None weighs layers alike.

    Returns:
        One row a criterion: ``criterion, layers, mean_tolerated, weighted_tolerated, mean_drop``
        (weighted mean over the layers of the area under the drop curve between its first and last
        ratio, divided by that width: a mean drop as a fraction, lower is better), ``best, tied,
        worse, missing`` (numbers of layers), ``seconds`` (evaluation time).
    """
    wins = win_matrix(points, tolerance=tolerance)
    measured = points[is_known(points)]
    areas = {
        (key[0], key[2]): mean_drop(curve["ratio_achieved"], curve["accuracy_drop"])
        for key, curve in curve_arrays(measured, ["ratio_achieved", "accuracy_drop"])
    }
    rows = []
    for criterion in criteria_of(points):
        own = wins[wins["criterion"] == criterion]
        count = own["outcome"].value_counts()
        found = own[own["outcome"] != "n/a"]
        weight = np.array([float((weights or {}).get(name, 1)) for name in found["layer"]])
        area = np.array([areas[criterion, name] for name in found["layer"]])
        rows.append(
            {
                "criterion": criterion,
                "layers": len(found),
                "mean_tolerated": _mean(found["tolerated"].to_numpy(dtype=float)),
                "weighted_tolerated": _mean(found["tolerated"].to_numpy(dtype=float), weight),
                "mean_drop": _mean(area, weight),
                "best": int(count.get("best", 0)),
                "tied": int(count.get("tied", 0)),
                "worse": int(count.get("worse", 0)),
                "missing": int(count.get("n/a", 0)),
                "seconds": float(points.loc[points["criterion"] == criterion, "seconds"].sum()),
            }
        )
    return pd.DataFrame(rows)


def mean_drop(ratios: np.ndarray, drops: np.ndarray) -> float:
    """Return the mean drop of one curve from ratio 0 to its last point, by the trapezoid rule."""
    ratios = np.concatenate([[0.0], ratios.astype(float)])
    drops = np.concatenate([[0.0], drops.astype(float)])
    width = ratios[-1] - ratios[0]
    return float(np.trapezoid(drops, ratios) / width) if width > 0 else float("nan")


def _mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    if weights is None:
        weights = np.ones_like(values)
    known = ~np.isnan(values)
    if not weights[known].sum() > 0:
        return float("nan")
    return float(np.average(values[known], weights=weights[known]))
