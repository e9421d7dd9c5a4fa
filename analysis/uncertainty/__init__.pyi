from .bounded import BoundedTest
from .intervals import Interval, quantile, wilson
from .jackknife import GROUPS, clustered_mean, group_jackknife
from .looks import LooksTest, level
from .mean_test import MeanTest
from .medians import median_interval
from .paired import paired_drop, paired_drops
from .sequential import BETS, Decision, DropTest, SequentialTest
from .student import mean_interval, t_interval

__all__ = [
    "BETS",
    "BoundedTest",
    "Decision",
    "DropTest",
    "GROUPS",
    "Interval",
    "LooksTest",
    "MeanTest",
    "SequentialTest",
    "clustered_mean",
    "group_jackknife",
    "level",
    "mean_interval",
    "median_interval",
    "paired_drop",
    "paired_drops",
    "quantile",
    "t_interval",
    "wilson",
]
