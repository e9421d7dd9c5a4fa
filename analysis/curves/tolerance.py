"""Sensitivity curves from the points table: what each layer tolerates, with ranks and ties.

Everything here is a pure function of the points table (the columns of the points CSV), so that the
dashboard, the command line and the tests read the same numbers. Drops are fractions (0.01 = 1 pp)
and positive when pruning costs accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.curves.reading import (
    CURVE,
    curve_arrays,
    is_known,
)
from analysis.records import IMPORTED
from pruners.errors import InputError

NOT_PRUNABLE = "not prunable"
_SLACK = 1e-9


def first_crossing(
    ratios: Sequence[float], drops: Sequence[float], *, tolerance: float
) -> tuple[float, bool]:
    """Walk up a curve and stop before the first point beyond the tolerance.

    Conservative: a curve that comes back under the tolerance later is not followed, and a point
    without a value (NaN) ends the walk, because what it would have said is not known.

    Args:
        ratios: Achieved ratios, rising, 0..1.
        drops: Drops as fractions.
        tolerance: Largest accepted drop, as a fraction.

    Returns:
        The last ratio before the crossing (0 if the first point crosses) and whether the curve
        never crosses, so that the answer is only the end of the grid.
    """
    last = 0.0
    for ratio, drop in zip(ratios, drops, strict=True):
        if not drop <= tolerance + _SLACK:
            return last, False
        last = float(ratio)
    return last, True


def drop_at(
    ratios: Sequence[float] | np.ndarray, values: Sequence[float] | np.ndarray, *, ratio: float
) -> float:
    """Interpolate a curve linearly from (0, 0); NaN beyond its last known point.

    Args:
        ratios: Achieved ratios, rising.
        values: Drops, or ends of their intervals; NaN where not known.
        ratio: Where to read.
    """
    known = ~np.isnan(np.asarray(values, dtype=float))
    xs = np.concatenate([[0.0], np.asarray(ratios, dtype=float)[known]])
    ys = np.concatenate([[0.0], np.asarray(values, dtype=float)[known]])
    if not 0 <= ratio <= xs[-1] + _SLACK:
        return float("nan")
    return float(np.interp(ratio, xs, ys))


def tolerated(points: pd.DataFrame, *, tolerance: float) -> pd.DataFrame:
    """Say what each layer tolerates by each criterion.

    Args:
        points: The points table.
        tolerance: Largest accepted drop, as a fraction (0.01 = 1 pp).

    Returns:
        One row a curve, in the table's order: ``criterion, granularity, layer, group, tolerated``
        (largest achieved ratio before the first crossing), ``low`` (by the upper ends of the
        drops' intervals: surely tolerated), ``high`` (by the lower ends: beyond it surely not; both
        NaN where points were imported without intervals),
        ``kept, total, open_end`` (the grid ends before the curve crosses), ``drop_half,
        drop_half_low, drop_half_high`` (at ratio 0.5), ``measured, failed, points, samples,
        partial`` (points missing or failed), ``rank_low, rank_high, rank`` (see `add_ranks`) and
        ``status``: ``measured`` or ``not prunable`` (nothing could be removed).

    Raises:
        InputError: The tolerance is negative.
    """
    if not tolerance >= 0:
        raise InputError(f"a tolerance is an accuracy drop of at least 0, found {tolerance}")
    values = points.assign(
        **{name: points[name].where(is_known(points)) for name in _DROPS},
    )
    grid = points.groupby(["criterion", "granularity"])["ratio_requested"].nunique().to_dict()
    rows = [
        _tolerated_row(key, curve, tolerance=tolerance, expected=int(grid[key[0], key[1]]))
        for key, curve in curve_arrays(values, _READ)
    ]
    return add_ranks(pd.DataFrame(rows, columns=_TOLERATED_COLUMNS))


_DROPS = ("accuracy_drop", "drop_low", "drop_high")
_READ = [
    *_DROPS,
    "group",
    "ratio_requested",
    "ratio_achieved",
    "kept",
    "total",
    "samples",
    "status",
]
_TOLERATED_COLUMNS = [
    *CURVE,
    "group",
    "tolerated",
    "low",
    "high",
    "kept",
    "total",
    "open_end",
    "drop_half",
    "drop_half_low",
    "drop_half_high",
    "measured",
    "failed",
    "points",
    "samples",
    "partial",
    "status",
    "reason",
]


def _tolerated_row(
    key: tuple[str, str, str], curve: Mapping[str, np.ndarray], *, tolerance: float, expected: int
) -> list[object]:
    known = ~np.isnan(curve["accuracy_drop"])
    # What the adaptive mode inferred without a number says nothing new about the crossing.
    walk = known | (curve["status"] != "inferred")
    # Every imported layer has its own levels: equal counts were one measurement.
    grid = len(known) if (curve["status"] == IMPORTED).any() else expected
    ratios = curve["ratio_achieved"][walk].tolist()
    (value, open_end), (low, _), (high, _) = (
        first_crossing(ratios, curve[name][walk].tolist(), tolerance=tolerance)
        for name in ("accuracy_drop", "drop_high", "drop_low")
    )
    at = np.flatnonzero(curve["ratio_achieved"] == value)
    total = int(curve["total"][0])
    removes = bool((curve["ratio_achieved"] > 0).any())
    has_intervals = not known.any() or bool((~np.isnan(curve["drop_high"])).any())
    halves = [
        drop_at(curve["ratio_achieved"], curve[name], ratio=0.5)
        for name in ("accuracy_drop", "drop_low", "drop_high")
    ]
    return [
        *key,
        curve["group"][0],
        value if removes else np.nan,
        min(low, value) if removes and has_intervals else np.nan,
        max(high, value) if removes and has_intervals else np.nan,
        int(curve["kept"][at[0]]) if len(at) else total,
        total,
        open_end and removes,
        *halves,
        int(known.sum()),
        int((curve["status"] == "failed").sum()),
        grid,
        int(curve["samples"][known].min()) if known.any() else 0,
        bool(known.sum() < len(known) or len(np.unique(curve["ratio_requested"])) < grid),
        "measured" if removes else NOT_PRUNABLE,
        "" if removes else "no ratio of the sweep removes anything",
    ]


def add_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Add the rank of each layer among the layers of its criterion, with ties as ranges.

    A layer is placed after those that surely tolerate more (their ``low`` above its ``high``) and
    before those that surely tolerate less. Layers whose intervals overlap always share a part of
    their ranges, so no order is claimed between them. What is not prunable has no rank.
    """
    result = table.copy()
    result["rank_low"] = pd.array([pd.NA] * len(result), dtype="Int64")
    result["rank_high"] = pd.array([pd.NA] * len(result), dtype="Int64")
    result["rank"] = ""
    ranked = result[result["status"] != NOT_PRUNABLE]
    for _, rows in ranked.groupby(["criterion", "granularity"], sort=False):
        low = rows["low"].to_numpy(dtype=float)
        high = rows["high"].to_numpy(dtype=float)
        first = 1 + (low[None, :] > high[:, None]).sum(1)
        last = len(rows) - (high[None, :] < low[:, None]).sum(1)
        result.loc[rows.index, "rank_low"] = first
        result.loc[rows.index, "rank_high"] = last
        result.loc[rows.index, "rank"] = [
            str(one) if one == other else f"{one}-{other}"
            for one, other in zip(first, last, strict=True)
        ]
    return result


def by_rank(rows: pd.DataFrame) -> pd.DataFrame:
    """Sort rows of `tolerated` by rank, the most tolerant first."""
    return rows.sort_values(
        ["rank_low", "rank_high", "tolerated"], ascending=[True, True, False], kind="stable"
    )


def add_not_prunable(table: pd.DataFrame, reasons: Mapping[str, str]) -> pd.DataFrame:
    """Append layers that cannot be pruned, each with its reason; they never get a rank.

    Args:
        table: What `tolerated` returned.
        reasons: Reason by layer name; layers that the table has are left as they are.
    """
    missing = [name for name in reasons if name not in set(table["layer"])]
    if not missing:
        return table
    rows = pd.DataFrame(
        {
            "layer": missing,
            "criterion": "",
            "granularity": "",
            "tolerated": np.nan,
            "rank": "",
            "partial": False,
            "open_end": False,
            "status": NOT_PRUNABLE,
            "reason": [reasons[name] for name in missing],
        }
    )
    return pd.DataFrame(
        table.to_dict("records") + rows.to_dict("records"), columns=list(table.columns)
    )
