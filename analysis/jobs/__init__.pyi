from .files import JobFiles
from .process import Steps, TakenError, Work, followed, work
from .records import JobRecord, OrderRecord

__all__ = [
    "JobFiles",
    "JobRecord",
    "OrderRecord",
    "Steps",
    "TakenError",
    "Work",
    "followed",
    "work",
]
