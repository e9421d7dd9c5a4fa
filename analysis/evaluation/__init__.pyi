from .deployed import deploy_plan
from .evaluate import class_changes, evaluate_plan
from .kept import keep_evaluation, kept_evaluation
from .known import Known, KnownNumbers, keep_subject
from .live import LiveEvaluator, LiveResult
from .measures import measured_columns, measures
from .repairing import RepairState
from .samples import Sample, first_samples
from .sanity import Doubt, find_doubts
from .session import LoadedSubject, Subjects

__all__ = [
    "Doubt",
    "Known",
    "KnownNumbers",
    "LiveEvaluator",
    "LiveResult",
    "LoadedSubject",
    "RepairState",
    "Sample",
    "Subjects",
    "class_changes",
    "deploy_plan",
    "evaluate_plan",
    "find_doubts",
    "first_samples",
    "keep_evaluation",
    "keep_subject",
    "kept_evaluation",
    "measured_columns",
    "measures",
]
