from .connection import FILE, Database
from .jobs import JobStore
from .migrations import MIGRATIONS, migrate
from .plans import PlanStore
from .points import PointStore
from .runs import RunStore
from .store import Store, statistics_folder

__all__ = [
    "Database",
    "FILE",
    "JobStore",
    "MIGRATIONS",
    "PlanStore",
    "PointStore",
    "RunStore",
    "Store",
    "migrate",
    "statistics_folder",
]
