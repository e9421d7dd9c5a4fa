from .curves import scores_before, training_table
from .jobs import Jobs, seed_folder
from .options import TRAINING_OPTIONS, given_recipe, is_given
from .presets import PRESETS, Preset
from .records import Job, Order, SeedResult
from .rounds import RoundUpdate, Training, iter_rounds
from .steps import STARTED_BETTER, iter_job

__all__ = [
    "Job",
    "Jobs",
    "Order",
    "PRESETS",
    "Preset",
    "RoundUpdate",
    "STARTED_BETTER",
    "SeedResult",
    "TRAINING_OPTIONS",
    "Training",
    "given_recipe",
    "is_given",
    "iter_job",
    "iter_rounds",
    "scores_before",
    "seed_folder",
    "training_table",
]
