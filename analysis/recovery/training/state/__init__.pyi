from .averages import Average, Best
from .checkpoint import Checkpoint, Store, parts, read_checkpoint, training_key
from .generators import Generators

__all__ = [
    "Average",
    "Best",
    "Checkpoint",
    "Generators",
    "Store",
    "parts",
    "read_checkpoint",
    "training_key",
]
