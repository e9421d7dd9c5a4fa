from . import answer, gate, goal, repair, sidebar, view
from .sidebar import Evaluated, evaluated, keep_evaluated

__all__ = [
    "Evaluated",
    "answer",
    "evaluated",
    "gate",
    "goal",
    "keep_evaluated",
    "repair",
    "sidebar",
    "view",
]
