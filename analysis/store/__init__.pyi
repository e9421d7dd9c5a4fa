from .connection import FILE, Database
from .inventories import InventoryStore
from .jobs import JobStore
from .measurements import MeasurementStore
from .migrations import MIGRATIONS, migrate
from .plans import PlanStore
from .points import PointStore
from .probes import ProbeStore
from .runs import RunStore
from .store import Store, statistics_folder
from .uploads import MAX_UPLOAD_BYTES, save_upload, uploads_folder

__all__ = [
    "Database",
    "FILE",
    "InventoryStore",
    "JobStore",
    "MAX_UPLOAD_BYTES",
    "MIGRATIONS",
    "MeasurementStore",
    "PlanStore",
    "PointStore",
    "ProbeStore",
    "RunStore",
    "Store",
    "migrate",
    "save_upload",
    "statistics_folder",
    "uploads_folder",
]
