from .cost import TrainingCost, training_cost
from .data import TrainingData, open_training_data
from .loop import iter_training
from .method import Context, Sparsity, TrainingMethod
from .optimizers import adamw, sgd
from .rates import RATES, rate_at
from .recipe import TrainingRecipe
from .registry import FINETUNE, OPTIMIZERS, TRAINING_METHODS, TRAINING_PRECISIONS
from .several import Meeting, join, opened_meeting
from .state import HISTORY
from .trainee import Trainee
from .update import SelectionScore, TrainingPoint, TrainingUpdate, read_history

__all__ = [
    "Context",
    "FINETUNE",
    "HISTORY",
    "Meeting",
    "OPTIMIZERS",
    "RATES",
    "SelectionScore",
    "Sparsity",
    "TRAINING_METHODS",
    "TRAINING_PRECISIONS",
    "Trainee",
    "TrainingCost",
    "TrainingData",
    "TrainingMethod",
    "TrainingPoint",
    "TrainingRecipe",
    "TrainingUpdate",
    "adamw",
    "iter_training",
    "join",
    "open_training_data",
    "opened_meeting",
    "rate_at",
    "read_history",
    "sgd",
    "training_cost",
]
