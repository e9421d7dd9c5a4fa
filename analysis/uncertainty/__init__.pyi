from .intervals import Interval, wilson
from .mean_test import MeanTest
from .paired import paired_drop, paired_drops
from .sequential import BETS, Decision, DropTest
from .student import mean_interval

__all__ = [
    "BETS",
    "Decision",
    "DropTest",
    "Interval",
    "MeanTest",
    "mean_interval",
    "paired_drop",
    "paired_drops",
    "wilson",
]
