from .loss import TrainingLoss, weight_of_dense
from .rounding import RoundedPass

__all__ = ["RoundedPass", "TrainingLoss", "weight_of_dense"]
