from . import gate, repair, sidebar, view
from .sidebar import Evaluated, evaluated, keep_evaluated

__all__ = [
    "Evaluated",
    "evaluated",
    "gate",
    "keep_evaluated",
    "repair",
    "sidebar",
    "view",
]
