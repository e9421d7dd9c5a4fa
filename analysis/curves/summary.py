"""What a run covers: measured points, small curves, the smallest drop that it can see."""

from __future__ import annotations

import pandas as pd

from analysis.curves.reading import (
    criteria_of,
    curves,
    is_known,
    layer_order,
)

# What lies beyond so many tolerances is too much, whatever it is.
TOLERANCES = 4.0


def coverage(points: pd.DataFrame, *, samples: int | None = None) -> pd.DataFrame:
    """Say for each cell of the sweep's grid how far it is.

    Args:
        points: The points table, complete or not.
        samples: Samples that a finished point has; None takes the largest number in the table.

    Returns:
        One row per criterion, layer and requested ratio of the grid: ``criterion, layer,
        ratio_requested, state, samples, done`` with state ``measured``, ``running`` (fewer samples
        than full), ``inferred``, ``failed`` or ``missing``, and done = share of the samples, 0..1.
    """
    full = samples or int(points["samples"].max() or 0)
    grid = pd.MultiIndex.from_product(
        [
            criteria_of(points),
            layer_order(points),
            sorted(points["ratio_requested"].unique()),
        ],
        names=["criterion", "layer", "ratio_requested"],
    ).to_frame(index=False)
    cells = points[["criterion", "layer", "ratio_requested", "status", "samples"]]
    joined = grid.merge(cells, how="left", on=["criterion", "layer", "ratio_requested"])
    joined["samples"] = joined["samples"].fillna(0).astype(int)
    running = (joined["status"] == "measured") & (joined["samples"] < full)
    joined["state"] = joined["status"].fillna("missing").mask(running, "running")
    joined["done"] = (joined["samples"] / full).clip(upper=1.0) if full else 0.0
    return joined.drop(columns="status")


def sparkline_reach(tolerance: float, scale: float = 100.0) -> tuple[float, float]:
    """Return the scaled drops at the lower and the upper edge of small inline charts.

    They are those of all rows: if each row had its own, layers that lose nothing would look as if
    they lost the most, by their noise.
    """
    # Nothing lies between edges that are one; without a tolerance all that is lost is too much.
    limit = TOLERANCES * max(tolerance * scale, 1e-6)
    return -limit / TOLERANCES, limit


def sparklines(
    points: pd.DataFrame, *, criterion: str, tolerance: float, scale: float = 100.0
) -> dict[str, list[float]]:
    """Return the scaled drops of each layer's curve, from ratio 0, for a small inline chart.

    Args:
        points: The points.
        criterion: Whose curves.
        tolerance: The accepted drop, as a fraction: `sparkline_reach` follows from it, and what
            lies beyond is at the edge.
        scale: What a drop is multiplied by.
    """
    chosen = points[(points["criterion"] == criterion) & is_known(points)]
    low, high = sparkline_reach(tolerance, scale)
    return {
        key[2]: [0.0, *(curve["accuracy_drop"] * scale).clip(low, high).round(6).tolist()]
        for key, curve in curves(chosen)
    }


def resolution(points: pd.DataFrame) -> float:
    """Return the smallest drop that this run can tell from none, as a fraction.

    The median half-width of the intervals of the points that removed little (the lower half of the
    measured drops): drops under it are not distinguishable from no drop.
    """
    known = points[is_known(points)]
    if known.empty:
        return float("nan")
    mild = known[known["accuracy_drop"] <= known["accuracy_drop"].median()]
    return float(((mild["drop_high"] - mild["drop_low"]) / 2).median())
