from .evaluations import EvaluationStore
from .inventories import InventoryStore
from .measurements import MeasurementStore
from .plan_content import content_of
from .probes import ProbeStore, save_probe
from .subjects import SubjectStore

__all__ = [
    "EvaluationStore",
    "InventoryStore",
    "MeasurementStore",
    "ProbeStore",
    "SubjectStore",
    "content_of",
    "save_probe",
]
