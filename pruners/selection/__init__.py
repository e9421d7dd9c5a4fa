"""Scores -> masks: granularities, normalizers."""

from pruners.selection import granularity, normalizers
from pruners.selection.granularity import PRESETS, Granularity, parse
from pruners.selection.masks import keep_mask, kept_indices, num_kept, num_removed
from pruners.selection.normalizers import NORMALIZER_HELP, NORMALIZERS, global_masks, normalize

__all__ = [
    "Granularity",
    "NORMALIZERS",
    "NORMALIZER_HELP",
    "PRESETS",
    "global_masks",
    "granularity",
    "keep_mask",
    "kept_indices",
    "normalize",
    "normalizers",
    "num_kept",
    "num_removed",
    "parse",
]
