"""The best criterion of each layer."""

from __future__ import annotations

import pandas as pd

from analysis.curves.reading import (
    CURVE,
    is_known,
)


def envelope(points: pd.DataFrame) -> pd.DataFrame:
    """Add the monotone envelope that solvers use, beside the raw curves.

    Columns ``envelope, envelope_low, envelope_high``: the largest drop (and interval end) at this
    or any smaller ratio of the curve, never below 0: removing more is assumed to cost no less.
    Points without a value take the envelope of the points before them. A curve without intervals,
    as imported ones are, has none here either.
    """
    result = points.sort_values([*CURVE, "ratio_achieved"], kind="stable")
    by_curve = [result[name] for name in CURVE]
    known = is_known(result)
    has_drops = known.groupby(by_curve).transform("any")
    for source, target in (
        ("accuracy_drop", "envelope"),
        ("drop_low", "envelope_low"),
        ("drop_high", "envelope_high"),
    ):
        values = result[source].where(known)
        result[target] = values.clip(lower=0).groupby(by_curve).cummax().groupby(by_curve).ffill()
        has_any = values.notna().groupby(by_curve).transform("any")
        result[target] = result[target].fillna(0.0).where(has_any | ~has_drops)
    return result.reindex(points.index)
