from .column_skipping import take_channels, used_columns
from .folding import (
    conv_state,
    first_result,
    folded_bias,
    folded_weight,
    following_norm,
    norm_scale,
)
from .fusing import Fusing, Fusion, can_fuse, fusion_of, rectified_sum

__all__ = [
    "Fusing",
    "Fusion",
    "can_fuse",
    "conv_state",
    "first_result",
    "folded_bias",
    "folded_weight",
    "following_norm",
    "fusion_of",
    "norm_scale",
    "rectified_sum",
    "take_channels",
    "used_columns",
]
