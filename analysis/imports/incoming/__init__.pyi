from .aimet import read_pairs
from .history import read_history
from .masks import read_masks
from .nni import read_config
from .own import read_own
from .registry import PLAN_FORMATS, PlanFormat, imported_plan
from .request import PlanRequest

__all__ = [
    "PLAN_FORMATS",
    "PlanFormat",
    "PlanRequest",
    "imported_plan",
    "read_config",
    "read_history",
    "read_masks",
    "read_own",
    "read_pairs",
]
