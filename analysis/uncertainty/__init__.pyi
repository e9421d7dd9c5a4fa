from .intervals import Interval, wilson
from .paired import paired_drop, paired_drops
from .sequential import BETS, Decision, DropTest

__all__ = [
    "BETS",
    "Decision",
    "DropTest",
    "Interval",
    "paired_drop",
    "paired_drops",
    "wilson",
]
