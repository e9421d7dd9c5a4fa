from .edit import Edit, edit_for, removed_model
from .masks import NestedMasks, digest, kept_units, scores
from .prepared import CALIBRATION_BATCH, PreparedSubject, prepare
from .target import Target, kept_at, target_named, targets

__all__ = [
    "CALIBRATION_BATCH",
    "Edit",
    "NestedMasks",
    "PreparedSubject",
    "Target",
    "digest",
    "edit_for",
    "kept_at",
    "kept_units",
    "prepare",
    "removed_model",
    "scores",
    "target_named",
    "targets",
]
