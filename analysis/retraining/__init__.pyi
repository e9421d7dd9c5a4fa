from .jobs import Jobs
from .options import METHOD, TRAINING_OPTIONS, given_recipe
from .presets import PRESETS, Preset
from .records import Job, Order, SeedResult
from .rounds import RoundUpdate, Training, iter_rounds
from .steps import iter_job

__all__ = [
    "Job",
    "Jobs",
    "METHOD",
    "Order",
    "PRESETS",
    "Preset",
    "RoundUpdate",
    "SeedResult",
    "TRAINING_OPTIONS",
    "Training",
    "given_recipe",
    "iter_job",
    "iter_rounds",
]
