from .aimet import is_pairs, read_pairs
from .history import is_history, read_history
from .masks import read_masks
from .nni import is_config, read_config
from .own import is_own, read_own
from .registry import PLAN_FORMATS, PlanFormat, imported_plan
from .request import PlanRequest

__all__ = [
    "PLAN_FORMATS",
    "PlanFormat",
    "PlanRequest",
    "imported_plan",
    "is_config",
    "is_history",
    "is_own",
    "is_pairs",
    "read_config",
    "read_history",
    "read_masks",
    "read_own",
    "read_pairs",
]
