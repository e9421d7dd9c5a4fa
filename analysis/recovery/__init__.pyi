from .outcome import RecoveryReport, report
from .plan_repair import METHODS, RECOVERY_HELP, Recovery, plan_masks, recover_plan, recovered_model

__all__ = [
    "METHODS",
    "RECOVERY_HELP",
    "Recovery",
    "RecoveryReport",
    "plan_masks",
    "recover_plan",
    "recovered_model",
    "report",
]
