"""Scores -> masks: units of granularities, exact counts, global ranking."""

from pruners.selection.masks import keep_mask, kept_indices, num_kept, num_removed
from pruners.selection.ranking import global_masks
from pruners.selection.units import (
    element_mask,
    expand,
    from_units,
    in_units,
    num_kept_fixed,
    num_units,
    unit_scores,
)

__all__ = [
    "element_mask",
    "expand",
    "from_units",
    "global_masks",
    "in_units",
    "keep_mask",
    "kept_indices",
    "num_kept",
    "num_kept_fixed",
    "num_removed",
    "num_units",
    "unit_scores",
]
