from .method import Context, Sparsity, TrainingMethod
from .rates import RATES, rate_at
from .recipe import TrainingRecipe
from .registry import TRAINING_METHODS
from .trainee import Trainee

__all__ = [
    "Context",
    "RATES",
    "Sparsity",
    "TRAINING_METHODS",
    "Trainee",
    "TrainingMethod",
    "TrainingRecipe",
    "rate_at",
]
