"""Reading the points table: metrics, curves in order, curves as arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

CURVE = ["criterion", "granularity", "layer"]
# What the dense model differs from itself by.
_AT_ZERO = {
    **dict.fromkeys(("ratio_requested", "ratio_achieved"), 0.0),
    **dict.fromkeys(("accuracy_drop", "drop_low", "drop_high"), 0.0),
    **dict.fromkeys(("envelope", "envelope_low", "envelope_high"), 0.0),
    "loss_delta": 0.0,
    "kl": 0.0,
    "agreement": 1.0,
}


def layer_order(points: pd.DataFrame) -> list[str]:
    """Return the layers as the sweep ordered them: in execution order."""
    return list(dict.fromkeys(points["layer"]))


def criteria_of(points: pd.DataFrame) -> list[str]:
    """Return the criteria in the order of the table."""
    return list(dict.fromkeys(points["criterion"]))


def in_curve_order(points: pd.DataFrame) -> pd.DataFrame:
    """Sort points so that each curve is together, rising in ratio; curves keep their order."""
    place = points.groupby(CURVE, sort=False).ngroup()
    return (
        points.assign(_curve=place)
        .sort_values(["_curve", "ratio_achieved", "ratio_requested"], kind="stable")
        .drop(columns="_curve")
    )


def curves(points: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """Yield ((criterion, granularity, layer), its points by rising achieved ratio)."""
    for key, rows in in_curve_order(points).groupby(CURVE, sort=False):
        criterion, granularity, layer = key
        yield (str(criterion), str(granularity), str(layer)), rows


def curve_arrays(
    points: pd.DataFrame, columns: Sequence[str]
) -> Iterator[tuple[tuple[str, str, str], dict[str, np.ndarray]]]:
    """Yield what `curves` does as arrays: many times faster for hundreds of curves.

    Args:
        points: The points table.
        columns: The columns wanted.
    """
    if points.empty:
        return
    ordered = in_curve_order(points)
    arrays = {name: ordered[name].to_numpy() for name in {*CURVE, *columns}}
    place = ordered.groupby(CURVE, sort=False).ngroup().to_numpy()
    ends = [0, *(np.flatnonzero(np.diff(place)) + 1), len(ordered)]
    for start, stop in itertools.pairwise(ends):
        criterion, granularity, layer = (str(arrays[name][start]) for name in CURVE)
        yield (
            (criterion, granularity, layer),
            {name: arrays[name][start:stop] for name in columns},
        )


def from_zero(points: pd.DataFrame) -> pd.DataFrame:
    """Start every curve at ratio 0, where the model is the dense one and nothing can differ.

    Curves that already have such a point stay as they are.
    """
    dense = points[points["ratio_achieved"] == 0]
    have = set(dense[CURVE].itertuples(index=False, name=None))
    first = points.drop_duplicates(CURVE)
    first = first[[key not in have for key in first[CURVE].itertuples(index=False, name=None)]]
    first = first.assign(accuracy=first["accuracy"] + first["accuracy_drop"], kept=first["total"])
    numbers = first.select_dtypes("float64").columns.drop("accuracy")
    first[numbers] = np.nan
    for name, value in _AT_ZERO.items():
        if name in first:
            first[name] = value
    return in_curve_order(pd.concat([first, points], ignore_index=True))


def is_known(points: pd.DataFrame) -> pd.Series:
    """Say which points carry a drop: not failed, at least one sample, a number."""
    return (points["status"] != "failed") & points["accuracy_drop"].notna()
