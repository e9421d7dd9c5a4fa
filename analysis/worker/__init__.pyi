from . import launch
from .cached_points import known_points
from .run import main, run_to_end

__all__ = [
    "known_points",
    "launch",
    "main",
    "run_to_end",
]
