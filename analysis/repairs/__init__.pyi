from .layers import Batches, calibration_batches, is_visible, weight_masks
from .mask_tuning import searched_plan, tuned_edit
from .method import PointRepair, RepairMethod
from .points import (
    PointRepairer,
    batch_norm_names,
    batch_norm_point,
    least_squares_point,
    weight_names,
)
from .registry import (
    AUTO,
    NO_REPAIR,
    REPAIRS,
    check_repair,
    leaves_parts,
    plan_repairs,
    point_repairer,
    sweep_repairs,
)
from .student import Student, open_student
from .usual import Choice, chosen_repair, usual_repair
from .whole_plan import (
    PlanWork,
    batch_norm_plan,
    least_squares_plan,
    obs_plan,
    sparsegpt_plan,
    tuned_plan,
    wanda_plan,
)

__all__ = [
    "AUTO",
    "Batches",
    "Choice",
    "NO_REPAIR",
    "PlanWork",
    "PointRepair",
    "PointRepairer",
    "REPAIRS",
    "RepairMethod",
    "Student",
    "batch_norm_names",
    "batch_norm_plan",
    "batch_norm_point",
    "calibration_batches",
    "check_repair",
    "chosen_repair",
    "is_visible",
    "least_squares_plan",
    "least_squares_point",
    "leaves_parts",
    "obs_plan",
    "open_student",
    "plan_repairs",
    "point_repairer",
    "searched_plan",
    "sparsegpt_plan",
    "sweep_repairs",
    "tuned_edit",
    "tuned_plan",
    "usual_repair",
    "wanda_plan",
    "weight_masks",
    "weight_names",
]
