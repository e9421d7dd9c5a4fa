from .answers import LOOSER, MOST, STEPS, AnswerUpdate, Wish, iter_answer
from .jobs import Jobs
from .records import ANSWER, TRADE_OFF, Job, Order, missed_drop
from .steps import iter_job, opened
from .timed import iter_timed

__all__ = [
    "ANSWER",
    "AnswerUpdate",
    "Job",
    "Jobs",
    "LOOSER",
    "MOST",
    "Order",
    "STEPS",
    "TRADE_OFF",
    "Wish",
    "iter_answer",
    "iter_job",
    "iter_timed",
    "missed_drop",
    "opened",
]
