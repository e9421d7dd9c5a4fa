"""Ratios that follow from scores, without a sweep: one rank over all layers, outliers of blocks."""

from analysis.allocation.scored.outliers import fill_by_outliers
from analysis.allocation.scored.ranked import fill_by_rank, global_plan

__all__ = ["fill_by_outliers", "fill_by_rank", "global_plan"]
