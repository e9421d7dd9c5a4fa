from .jobs import Jobs
from .records import ANSWER, TRADE_OFF, Job, Order, missed_drop
from .steps import opened

__all__ = [
    "ANSWER",
    "Job",
    "Jobs",
    "Order",
    "TRADE_OFF",
    "missed_drop",
    "opened",
]
