from .edit import Edit, edit_for, edited_model
from .masks import NestedMasks, digest, kept_units, scores
from .prepared import PreparedSubject, prepare
from .repair import (
    REPAIR_HELP,
    REPAIRS,
    SWEEP_REPAIRS,
    Batches,
    PointRepairer,
    calibration_batches,
    check_repair,
    is_visible,
    weight_masks,
)
from .target import Target, kept_at, target_named, targets

__all__ = [
    "Batches",
    "Edit",
    "NestedMasks",
    "PointRepairer",
    "PreparedSubject",
    "REPAIRS",
    "REPAIR_HELP",
    "SWEEP_REPAIRS",
    "Target",
    "calibration_batches",
    "check_repair",
    "digest",
    "edit_for",
    "edited_model",
    "is_visible",
    "kept_at",
    "kept_units",
    "prepare",
    "scores",
    "target_named",
    "targets",
    "weight_masks",
]
