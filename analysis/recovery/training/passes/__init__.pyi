from .loss import TrainingLoss
from .rounding import RoundedPass

__all__ = ["RoundedPass", "TrainingLoss"]
