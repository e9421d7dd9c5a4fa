from .intervals import Interval, wilson
from .paired import paired_drop, paired_drops
from .sequential import BETS, Decision, DropTest, anytime_paired

__all__ = [
    "BETS",
    "Decision",
    "DropTest",
    "Interval",
    "anytime_paired",
    "paired_drop",
    "paired_drops",
    "wilson",
]
