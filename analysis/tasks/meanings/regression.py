"""The explained share of a spread, and errors in the targets' unit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.tasks.meanings.grouped import Floats, Totals, ends_of
from analysis.tasks.meanings.ratios import SumRatio, divided
from analysis.tasks.scoring import Metric, Words

ROUNDING = 1e-12


class ExplainedShare(SumRatio):
    """R2: one less the squared errors over the squared deviations of the targets from their mean.

    Of several outputs both are summed over them, so that those of a larger spread weigh more. By
    group: squares and sums of targets, absolute and squared errors, all of them over outputs.
    """

    words = Words(
        label="R2",
        column="r2",
        drop_label="R2 drop",
        drop_column="r2_drop",
        digits=4,
        best=1.0,
        agreement="R2 is that of the pruned model's outputs against the dense model's",
    )
    shared = ("squares", "sum*")
    own = ("absolute", "squared")
    extras = ("outputs",)
    columns = ends_of("mae", "mae_delta", "rmse", "rmse_delta")
    metrics: Mapping[str, Metric] = {
        "mae": Metric("mae", "mae_low", "mae_high", "mean absolute error", "", 1.0),
        "mae_delta": Metric(
            "mae_delta", "mae_delta_low", "mae_delta_high", "MAE increase", "", 1.0, is_cost=True
        ),
        "rmse": Metric("rmse", "rmse_low", "rmse_high", "root mean squared error", "", 1.0),
        "rmse_delta": Metric(
            "rmse_delta",
            "rmse_delta_low",
            "rmse_delta_high",
            "RMSE increase",
            "",
            1.0,
            is_cost=True,
        ),
    }

    def value(self, shared: Floats, own: Floats) -> Floats:
        """Return R2; NaN where targets are all the same."""
        spread = shared[..., 1] - divided((shared[..., 2:] ** 2).sum(-1), shared[..., 0])
        # What is left of rounding is no spread.
        spread = np.where(spread > ROUNDING * shared[..., 1], spread, 0.0)
        return 1 - divided(own[..., 1], spread)

    def further(self, totals: Totals, *, has_labels: bool) -> Mapping[str, Floats]:
        """Return mean absolute and root mean squared error, and by how much they rose."""
        mae, before, mse, was = (
            totals[name] / totals["outputs"]
            for name in ("absolute", "dense_absolute", "squared", "dense_squared")
        )
        rmse, rmse_before = np.sqrt(mse), np.sqrt(was)
        return {
            "mae": mae,
            "mae_delta": mae - before,
            "rmse": rmse,
            "rmse_delta": rmse - rmse_before,
        }


EXPLAINED_SHARE = ExplainedShare()
