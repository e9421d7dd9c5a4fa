from .connection import FILE, Database
from .contents import (
    EvaluationStore,
    InventoryStore,
    MeasurementStore,
    ProbeStore,
    SubjectStore,
    content_of,
)
from .imported import ImportStore
from .jobs import JobStore
from .migrations import MIGRATIONS, migrate
from .plans import MAX_NAME, MAX_NOTE, PlanStore
from .points import PointStore
from .runs import RunStore
from .store import Store, statistics_folder
from .uploads import MAX_UPLOAD_BYTES, save_upload, uploads_folder

__all__ = [
    "Database",
    "EvaluationStore",
    "FILE",
    "ImportStore",
    "InventoryStore",
    "JobStore",
    "MAX_NAME",
    "MAX_NOTE",
    "MAX_UPLOAD_BYTES",
    "MIGRATIONS",
    "MeasurementStore",
    "PlanStore",
    "PointStore",
    "ProbeStore",
    "RunStore",
    "Store",
    "SubjectStore",
    "content_of",
    "migrate",
    "save_upload",
    "statistics_folder",
    "uploads_folder",
]
