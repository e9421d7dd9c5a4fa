from .claim import claimed
from .files import JobFiles
from .process import Steps, Work, work
from .records import JobRecord, OrderRecord

__all__ = [
    "JobFiles",
    "JobRecord",
    "OrderRecord",
    "Steps",
    "Work",
    "claimed",
    "work",
]
