from .kept import repair_key, repaired_plan
from .outcome import RecoveryReport, report
from .plan_repair import Recovery, pruned_targets, recover_plan, recovered_model

__all__ = [
    "Recovery",
    "RecoveryReport",
    "pruned_targets",
    "recover_plan",
    "recovered_model",
    "repair_key",
    "repaired_plan",
    "report",
]
