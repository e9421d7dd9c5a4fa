from .averages import Average, Best
from .checkpoint import HISTORY, Checkpoint, Store, parts, read_checkpoint, training_key
from .generators import Generators

__all__ = [
    "Average",
    "Best",
    "Checkpoint",
    "Generators",
    "HISTORY",
    "Store",
    "parts",
    "read_checkpoint",
    "training_key",
]
