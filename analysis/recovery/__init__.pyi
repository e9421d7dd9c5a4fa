from .kept import repair_key, repaired_plan
from .outcome import RecoveryReport, check_after_each, report
from .plan_repair import (
    Recovery,
    Repairer,
    elements_left,
    pruned_targets,
    recover_plan,
    recovered_model,
)
from .trained import keep_trained, seen_samples, training_recipe

__all__ = [
    "Recovery",
    "RecoveryReport",
    "Repairer",
    "check_after_each",
    "elements_left",
    "keep_trained",
    "pruned_targets",
    "recover_plan",
    "recovered_model",
    "repair_key",
    "repaired_plan",
    "report",
    "seen_samples",
    "training_recipe",
]
