from .edit import Edit, edit_for, edited_model, pruning_edit
from .masks import NestedMasks, digest, kept_units, model_scores, scores
from .prepared import CALIBRATION_BATCH, CPU_BATCH, PreparedSubject, prepare
from .target import Target, kept_at, target_named, targets

__all__ = [
    "CALIBRATION_BATCH",
    "CPU_BATCH",
    "Edit",
    "NestedMasks",
    "PreparedSubject",
    "Target",
    "digest",
    "edit_for",
    "edited_model",
    "kept_at",
    "kept_units",
    "model_scores",
    "prepare",
    "pruning_edit",
    "scores",
    "target_named",
    "targets",
]
