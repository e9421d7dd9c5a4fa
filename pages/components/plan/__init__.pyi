from . import gate, sidebar, view
from .sidebar import Evaluated, evaluated

__all__ = [
    "Evaluated",
    "evaluated",
    "gate",
    "sidebar",
    "view",
]
