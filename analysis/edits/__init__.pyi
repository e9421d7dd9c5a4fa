from .edit import Edit, edit_for
from .masks import NestedMasks, digest, kept_units, scores
from .prepared import SubjectContext, open_context
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
from .runner import EditRunner, removed_model
from .target import Target, kept_at, targets

__all__ = [
    "Batches",
    "Edit",
    "EditRunner",
    "NestedMasks",
    "PointRepairer",
    "REPAIRS",
    "REPAIR_HELP",
    "SWEEP_REPAIRS",
    "SubjectContext",
    "Target",
    "calibration_batches",
    "check_repair",
    "digest",
    "edit_for",
    "is_visible",
    "kept_at",
    "kept_units",
    "open_context",
    "removed_model",
    "scores",
    "targets",
    "weight_masks",
]
