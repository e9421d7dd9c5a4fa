from .intervals import Interval, wilson
from .mean_test import MeanTest
from .paired import paired_drop, paired_drops
from .sequential import BETS, Decision, DropTest

__all__ = [
    "BETS",
    "Decision",
    "DropTest",
    "Interval",
    "MeanTest",
    "paired_drop",
    "paired_drops",
    "wilson",
]
